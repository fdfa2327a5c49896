"""/github: the part of connecting that happens in a browser, which has no token of ours.

Who has the `state` of an attempt was given it with our token, and may go on with that alone.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from previewdrop.domain.errors import BadInput, Unavailable
from previewdrop.forge.base import Refused
from previewdrop.web.api.depends import ControlDep
from previewdrop.web.github import steps
from previewdrop.web.github.connections import register
from previewdrop.web.github.depends import AttemptsDep

router = APIRouter(prefix="/github", include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/new")
async def begin(attempts: AttemptsDep, state: str = "") -> HTMLResponse:
    attempt = attempts.of(state)
    return steps.stale() if attempt is None or attempt.ended else steps.begin(attempt)


@router.get("/connected")
async def connected(
    attempts: AttemptsDep, control: ControlDep, code: str = "", state: str = ""
) -> HTMLResponse:
    """Takes GitHub's code, once; the same page is shown however often it is loaded."""
    attempt = attempts.of(state)
    if attempt is None:
        return steps.stale()
    async with attempt.lock:
        if attempt.ended:
            return steps.connected(attempt)
        try:
            await register(control.store, attempt, code)
            await control.hosts()
        except Unavailable as error:
            return steps.unavailable(error)
        except (BadInput, Refused) as error:
            attempt.error = str(error)
            return steps.refused(attempt, error.message, error.hint)
    return steps.connected(attempt)


@router.get("/installed")
async def installed() -> HTMLResponse:
    """Shows the same to everybody: what GitHub adds to the address proves nothing."""
    return steps.installed()
