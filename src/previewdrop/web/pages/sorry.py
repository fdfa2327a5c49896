"""What a page of the dashboard says when it cannot be shown."""

from __future__ import annotations

from http import HTTPStatus

from fastapi.responses import HTMLResponse

from previewdrop.web.pages.page import page


def sorry(title: str, message: str, status: HTTPStatus) -> HTMLResponse:
    """`title` says what happened, `message` what to do."""
    return page("sorry.html", {"title": title, "message": message}, status=status)
