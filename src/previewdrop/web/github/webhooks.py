"""/webhooks: what GitHub tells. Each call is proved by its signature, not by our token."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException

from previewdrop.forge.github import signature
from previewdrop.web.api.depends import ControlDep
from previewdrop.web.github.depends import BodiesDep

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


@router.post("/github", status_code=HTTPStatus.ACCEPTED)
async def hear_github(request: Request, control: ControlDep, bodies: BodiesDep) -> dict[str, bool]:
    """Takes a webhook call of GitHub; `new` is false for one that was taken before."""
    if not signature.present(request.headers):
        raise _unsigned()
    async with bodies.of(request) as body:
        taken = await control.hear("github", request.headers, body)
    if taken is None:
        raise _unsigned()
    return {"new": taken}


def _unsigned() -> HTTPException:
    return HTTPException(
        HTTPStatus.UNAUTHORIZED, "No connected GitHub has signed this with X-Hub-Signature-256."
    )
