"""/sign-in: a browser is signed in by a ticket, and told how to get one."""

from __future__ import annotations

from http import HTTPStatus

from fastapi.responses import HTMLResponse

from previewdrop.web.pages.page import page
from previewdrop.web.pages.sorry import sorry


def signed_out(port: int | None) -> HTMLResponse:
    """For whoever has no session, or not any more."""
    return _page(
        "Sign in",
        "This is the dashboard of a PreviewDrop server. On that server, run:",
        HTTPStatus.UNAUTHORIZED,
        port,
    )


def used(port: int | None) -> HTMLResponse:
    """For a ticket that is not good, or not any more."""
    return _page(
        "This address is not valid any more",
        "It is good for ten minutes and signs one browser in. Run again, on the server:",
        HTTPStatus.NOT_FOUND,
        port,
    )


def another_site() -> HTMLResponse:
    """For a form that is not of a page of ours."""
    return sorry(
        "This came from another site",
        "Nothing was changed. Open the dashboard itself and try there.",
        HTTPStatus.FORBIDDEN,
    )


def _page(title: str, message: str, status: HTTPStatus, port: int | None) -> HTMLResponse:
    values = {"title": title, "message": message, "port": port or 7780}
    return page("sign_in.html", values, status=status)
