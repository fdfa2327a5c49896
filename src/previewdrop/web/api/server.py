"""/healthz and what concerns the server itself."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request

from previewdrop import __version__
from previewdrop.web.address import base_of
from previewdrop.web.api.depends import ControlDep, TicketsDep
from previewdrop.web.api.schema import Health, ServerView, SignIn

router = APIRouter(tags=["server"])


@router.get("/healthz")
async def health() -> Health:
    """Whether the server answers. The only route without a token."""
    return Health(status="ok", version=__version__)


@router.get("/api/v1/server")
async def server(control: ControlDep) -> ServerView:
    """How the server runs, and what weakens it."""
    facts = control.facts
    return ServerView(
        version=__version__,
        url=facts.url,
        home=str(control.settings.home),
        edge_url=facts.edge_url,
        runtime=facts.runtime,
        isolation=facts.walls.isolation,
        isolated=facts.walls.isolated,
        services=await control.operations.services(),
        warnings=[] if facts.walls.isolated else [facts.walls.isolation],
    )


@router.post("/api/v1/sign-ins", status_code=HTTPStatus.CREATED)
async def sign_in(request: Request, control: ControlDep, tickets: TicketsDep) -> SignIn:
    """An address that signs one browser in to the dashboard, within ten minutes."""
    base = base_of(request, control.settings.public_url)
    return SignIn(url=f"{base}/sign-in?ticket={tickets.issue()}")


@router.post("/api/v1/shutdown", status_code=HTTPStatus.ACCEPTED)
async def shut_down(control: ControlDep, keep_previews: bool = False) -> dict[str, str]:
    """Stops previews, services and the server. All data is kept for the next `serve`.

    With `keep_previews` the server alone stops: previews go on, and the next one adopts them.
    """
    control.operations.shut_down(keep_previews=keep_previews)
    return {}
