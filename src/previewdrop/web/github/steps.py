"""What the pages on the way to GitHub say: pure."""

from __future__ import annotations

import json
from http import HTTPStatus

from fastapi.responses import HTMLResponse

from previewdrop.domain.errors import PreviewDropError
from previewdrop.forge.github.manifest import PERMISSIONS
from previewdrop.web.github.attempts import Attempt
from previewdrop.web.pages.page import page


def begin(attempt: Attempt) -> HTMLResponse:
    """Sends the manifest to GitHub, by itself or by its button."""
    organization, name = attempt.organization, attempt.host.web.partition("://")[2]
    values = {
        "where": "GitHub" if name == "github.com" else name,
        "whose": f"the organization {organization}" if organization else "your account",
        "form": attempt.form,
        "manifest": json.dumps(attempt.manifest),
        "permissions": PERMISSIONS,
    }
    return page("github/begin.html", values, leads_to=attempt.form)


def connected(attempt: Attempt) -> HTMLResponse:
    """The App is there; it sees no repository yet."""
    made = attempt.registration
    if made is None:
        return stale()
    link = made.installation_address
    if not link.startswith(f"{attempt.host.web}/"):
        link = attempt.host.web
    values = {
        "slug": made.slug,
        "link": link,
        "hears": attempt.public is not None,
        "dashboard": attempt.dashboard,
    }
    return page("github/connected.html", values)


def installed() -> HTMLResponse:
    """Where GitHub sends whoever has chosen repositories."""
    return page("github/installed.html")


def stale() -> HTMLResponse:
    """For a state that is not known, or not any more."""
    return page("github/stale.html", status=HTTPStatus.NOT_FOUND)


def refused(attempt: Attempt, message: str, hint: str | None) -> HTMLResponse:
    """GitHub said no, and will say it again."""
    values = {"message": message, "hint": hint, "dashboard": attempt.dashboard}
    return page("github/refused.html", values, status=HTTPStatus.UNPROCESSABLE_ENTITY)


def unavailable(error: PreviewDropError) -> HTMLResponse:
    """What passes by itself: the code stays good, so that the page can be loaded again."""
    values = {"message": error.message}
    return page("github/unavailable.html", values, status=HTTPStatus.SERVICE_UNAVAILABLE)
