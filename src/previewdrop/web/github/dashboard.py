"""…/github on the dashboard: connect GitHub, see what it reaches, make projects of repositories."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import Field, TypeAdapter, ValidationError

from previewdrop.domain.errors import BadInput, PreviewDropError
from previewdrop.web.api.depends import ControlDep, SessionsDep
from previewdrop.web.github import projects, routes
from previewdrop.web.github.depends import AttemptsDep, NoticesDep
from previewdrop.web.github.schema import (
    GitHubProject,
    GitHubProjectRequest,
    GitHubRepository,
    GitHubRequest,
)
from previewdrop.web.pages.forms import Notice, fields
from previewdrop.web.pages.page import page

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_CHOSEN: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=0, lt=2**31)])

_MOST = 100
"""Repositories on the page; others are found by a part of their name."""


@router.get("/github")
async def show(
    control: ControlDep,
    sessions: SessionsDep,
    notices: NoticesDep,
    find: str = "",
    notice: str = "",
) -> HTMLResponse:
    """Connections with their installations, and repositories, those without a project first."""
    connections, installed, reached = await asyncio.gather(
        routes.list_connections(control),
        routes.list_installations(control),
        projects.list_repositories(control),
    )
    matching = [each for each in reached.repositories if find.lower() in each.name.lower()]
    matching.sort(key=lambda each: each.followed)
    values = {
        "root": sessions.path,
        "connections": connections,
        "installations": {
            each.id: [one for one in installed.installations if one.connection == each.id]
            for each in connections
        },
        "repositories": matching[:_MOST],
        "more": len(matching) - _MOST,
        "all": len(reached.repositories),
        "find": find,
        "warnings": list(dict.fromkeys([*installed.warnings, *reached.warnings])),
        "notice": notices.get(notice),
        "address": control.settings.public_url or "",
        "page_of": _page_of,
    }
    return page("github/dashboard.html", values, wide=True)


@router.post("/github/connect")
async def connect(
    request: Request,
    control: ControlDep,
    sessions: SessionsDep,
    attempts: AttemptsDep,
    notices: NoticesDep,
) -> Response:
    """Goes on to GitHub, or is done where a token was given."""
    back = f"{sessions.path}/github"
    try:
        given = GitHubRequest.model_validate(await fields(request))
        begun = await routes.connect(given, request, control, attempts)
    except (PreviewDropError, ValidationError) as error:
        return _told(back, notices.keep(_refused(error)))
    attempt = attempts.seen(begun.id) if begun.id else None
    if begun.url is None or attempt is None:
        slug = begun.connection.slug if begun.connection else None
        return _told(back, notices.keep(Notice(f"The token of {slug} is connected.")))
    attempt.dashboard = back
    return RedirectResponse(begun.url, HTTPStatus.SEE_OTHER)


@router.post("/github/add")
async def add(
    request: Request, control: ControlDep, sessions: SessionsDep, notices: NoticesDep
) -> Response:
    """Makes a project of one repository."""
    try:
        repository = (await fields(request)).get("repository", "")
        if not repository:
            raise BadInput("No repository was chosen.")
        made = await projects.add_project(GitHubProjectRequest(repository=repository), control)
        notice = _added(made)
    except (PreviewDropError, ValidationError) as error:
        notice = _refused(error)
    return _told(f"{sessions.path}/github", notices.keep(notice))


@router.post("/github/disconnect")
async def disconnect(
    request: Request, control: ControlDep, sessions: SessionsDep, notices: NoticesDep
) -> Response:
    """Forgets one connection; its projects and previews stay."""
    try:
        chosen = _CHOSEN.validate_python((await fields(request)).get("connection"))
        gone = await routes.disconnect(chosen, control)
        notice = Notice(
            f"{gone.slug or gone.kind} at {gone.url} is disconnected.",
            ("Its projects and previews stay; pull requests drive them no more.",),
        )
    except (PreviewDropError, ValidationError) as error:
        notice = _refused(error)
    return _told(f"{sessions.path}/github", notices.keep(notice))


def _told(back: str, notice: str) -> Response:
    """The page again, as a new request, so that loading it once more repeats nothing."""
    return RedirectResponse(f"{back}?notice={notice}", HTTPStatus.SEE_OTHER)


def _added(made: GitHubProject) -> Notice:
    more = list(made.warnings)
    if not made.webhooks:
        more.append("Until GitHub tells, PreviewDrop looks for changes every five minutes.")
    if made.moved:
        moved = ", ".join(made.moved)
        return Notice(f"{moved} of {made.repository} moved to this connection.", tuple(more))
    name = made.project.name
    said = f"{made.repository} is the project {name}. Its open pull requests get previews now."
    return Notice(said, tuple(more))


def _refused(error: PreviewDropError | ValidationError) -> Notice:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "The form"
        return Notice(f"{where} is wrong: {first['msg']}.", bad=True)
    return Notice(error.message, (error.hint,) if error.hint else (), bad=True)


def _page_of(repository: GitHubRepository) -> str:
    """Where people read a repository."""
    return repository.url.removesuffix(".git")
