"""/ and /sign-in: where a browser begins."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from previewdrop.web.address import base_of
from previewdrop.web.api.depends import ControlDep, SessionsDep, TicketsDep
from previewdrop.web.pages.signing_in import signed_out, used
from previewdrop.web.session import COOKIE, WEEK

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/")
async def home(request: Request) -> HTMLResponse:
    """Where the dashboard is nobody is told here, see Sessions."""
    return signed_out(request.url.port)


@router.get("/sign-in")
async def sign_in(
    request: Request,
    control: ControlDep,
    sessions: SessionsDep,
    tickets: TicketsDep,
    ticket: str = "",
) -> Response:
    """Takes a ticket, once, for a session of a week."""
    if not tickets.take(ticket):
        return used(request.url.port)
    answer = RedirectResponse(f"{sessions.path}/github", HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        COOKIE,
        sessions.begin(),
        max_age=WEEK,
        path=sessions.path,
        secure=base_of(request, control.settings.public_url).startswith("https://"),
        httponly=True,
        samesite="strict",
    )
    return answer
