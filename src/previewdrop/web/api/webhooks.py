"""/webhooks: what code hosts tell. Each call is proved by its signature, not by our token."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException

from previewdrop.web.api.depends import ControlDep

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

_MOST = 26 * 1024 * 1024
"""GitHub sends 25 MB at the most: https://docs.github.com/en/webhooks/webhook-events-and-payloads"""


@router.post("/github", status_code=HTTPStatus.ACCEPTED)
async def hear_github(request: Request, control: ControlDep) -> dict[str, bool]:
    """Takes a webhook call of GitHub; `new` is false for one that was taken before."""
    body = await _bounded(request)
    taken = await control.hear("github", request.headers, body)
    if taken is None:
        raise HTTPException(
            HTTPStatus.UNAUTHORIZED, "No connected GitHub has signed this with X-Hub-Signature-256."
        )
    return {"new": taken}


async def _bounded(request: Request) -> bytes:
    """The body, of which no more is read than may be sent."""
    body = bytearray()
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > _MOST:
        raise _too_large()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST:
            raise _too_large()
    return bytes(body)


def _too_large() -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This body is too large.")
