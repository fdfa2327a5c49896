"""`/health`: 200 when database and cache answer, 503 when one of them does not."""

import asyncio
import logging
from collections.abc import Awaitable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app import cache, database

TIMEOUT = 2
"""Seconds that each of them has to answer."""

router = APIRouter(tags=["system"])
log = logging.getLogger(__name__)


@router.get("/health", responses={503: {"description": "Database or cache does not answer"}})
async def health(request: Request) -> JSONResponse:
    """Health check for preview environments and load balancers."""
    connected = await asyncio.gather(
        answers("database", database.ping()), answers("cache", cache.ping())
    )
    ok = all(connected)
    body = {
        "status": "ok" if ok else "unavailable",
        "version": request.app.version,
        "database": "connected" if connected[0] else "unreachable",
        "cache": "connected" if connected[1] else "unreachable",
    }
    return JSONResponse(body, status_code=200 if ok else 503)


async def answers(name: str, question: Awaitable[None]) -> bool:
    """Whether it answered. Whatever kept it from answering makes the app unhealthy."""
    try:
        async with asyncio.timeout(TIMEOUT):
            await question
    except Exception as error:
        log.warning("The %s did not answer: %r", name, error)
        return False
    return True
