"""Bodies of calls that anybody can make: bounded in size, in time, and in how many are held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from io import BytesIO

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

MOST = 26 * 1024 * 1024
"""GitHub sends 25 MB at the most: https://docs.github.com/en/webhooks/webhook-events-and-payloads"""

SMALL = 256 * 1024
"""Few webhooks are larger, and as many small ones are held as there are connections."""

LARGE_AT_ONCE = 4

PATIENCE = 10.0
"""GitHub waits no longer for an answer:
https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks
"""


class Bodies:
    """Those that are larger than SMALL wait for each other."""

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncGenerator[bytes]:
        """A request's body, which counts as held in the block.

        HTTPException: 413 if it is too large, 408 if it is not there in time.
        """
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(PATIENCE):
                    body = await self._read(request, held)
            except TimeoutError:
                raise HTTPException(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"This body was not read within {PATIENCE:.0f} seconds. Send it again.",
                ) from None
            except ClientDisconnect:
                raise HTTPException(HTTPStatus.BAD_REQUEST, "This body ended early.") from None
            yield body

    async def _read(self, request: Request, held: AsyncExitStack) -> bytes:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > MOST:
            raise _too_large()
        body = BytesIO()
        async for chunk in request.stream():
            before, after = body.tell(), body.tell() + len(chunk)
            if after > MOST:
                raise _too_large()
            if before <= SMALL < after:
                await held.enter_async_context(self._large)
            body.write(chunk)
        # Its own memory, not a copy.
        return body.getvalue()


def _too_large() -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This body is too large.")
