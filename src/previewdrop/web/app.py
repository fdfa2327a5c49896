"""The API, put together."""

from __future__ import annotations

from fastapi import FastAPI

from previewdrop import __version__
from previewdrop.web.api import (
    previews,
    projects,
    server,
    streams,
    variables,
)
from previewdrop.web.events import Changes
from previewdrop.web.gate import Gate
from previewdrop.web.github import dashboard, pages, webhooks
from previewdrop.web.github import projects as github_projects
from previewdrop.web.github import routes as github
from previewdrop.web.github.attempts import Attempts
from previewdrop.web.github.bodies import Bodies
from previewdrop.web.pages import home
from previewdrop.web.pages.forms import Notices
from previewdrop.web.ports import Control
from previewdrop.web.problems import add_problem_handlers
from previewdrop.web.session import Sessions, Tickets

ABOUT = """\
Every branch and pull request of a FastAPI repository as a live, isolated HTTPS preview.
Every route of the API needs `Authorization: Bearer TOKEN`; errors are RFC 9457 problems.
"""


def create_app(control: Control, changes: Changes) -> FastAPI:
    """The ASGI application of the control plane."""
    app = FastAPI(title="PreviewDrop", version=__version__, description=ABOUT)
    app.state.control = control
    app.state.changes = changes
    app.state.attempts = Attempts()
    app.state.bodies = Bodies()
    app.state.notices = Notices()
    app.state.tickets = Tickets()
    app.state.sessions = sessions = Sessions(control.token)
    app.add_middleware(
        Gate, token=control.token, sessions=sessions, public=control.settings.public_url
    )
    add_problem_handlers(app)
    for routes in (server, projects, variables, previews, streams, home):
        app.include_router(routes.router)
    for routes in (github, github_projects, pages, webhooks):
        app.include_router(routes.router)
    app.include_router(dashboard.router, prefix=sessions.path)
    return app
