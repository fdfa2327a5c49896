"""/api/v1/github/repositories, and projects that are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter

from previewdrop.domain.errors import Conflict, PreviewDropError
from previewdrop.forge.github.github import GitHub
from previewdrop.forge.github.host import host
from previewdrop.store.forges import StoredForge
from previewdrop.store.tables import Project
from previewdrop.web.api.depends import ControlDep
from previewdrop.web.api.projects import added
from previewdrop.web.api.schema import ProjectRequest
from previewdrop.web.api.views import project_view
from previewdrop.web.github import connections, repositories
from previewdrop.web.github.repositories import Reached
from previewdrop.web.github.schema import (
    GitHubProject,
    GitHubProjectRequest,
    GitHubRepositories,
    GitHubRepository,
)
from previewdrop.web.ports import Control

router = APIRouter(prefix="/api/v1/github", tags=["github"])


@router.get("/repositories")
async def list_repositories(control: ControlDep) -> GitHubRepositories:
    """All that the connections see. `warnings` has those that did not answer."""
    there, silent = await repositories.reached(control.hosts)
    known = await repositories.known(control.hosts)
    projects = [project for project, _ in await control.store.projects.all()]
    shown: list[GitHubRepository] = []
    for each in there:
        its = [one for one in projects if _is(one, each)]
        shown.append(
            GitHubRepository(
                name=each.repository.name,
                url=each.repository.url,
                private=each.repository.private,
                connection=each.stored.id,
                projects=[one.name for one in its],
                followed=bool(its) and not (_free(its) or _behind(its, each, known)),
            )
        )
    return GitHubRepositories(repositories=shown, warnings=list(silent))


@router.post("/projects", status_code=HTTPStatus.CREATED)
async def add_project(body: GitHubProjectRequest, control: ControlDep) -> GitHubProject:
    """Makes a project of a repository, whose pull requests then drive previews.

    A project that has the repository's address already becomes it, and those of an older connection
    move to the newest; a second project of the same repository, such as another folder of a
    monorepo, needs a `name` of its own.
    """
    found = await repositories.find(control.hosts, body.repository)
    there = [one for one, _ in await control.store.projects.all() if _is(one, found)]
    known = await repositories.known(control.hosts)
    named = [each for each in there if body.name in (None, each.name)]
    behind = _behind(named, found, known)
    chosen = _free(named)[:1] or behind
    if not chosen:
        if there and body.name is None:
            raise Conflict(
                f"{found.repository.name} is the project {there[0].name} already.",
                "Give a second one another name with --name.",
            )
        request = ProjectRequest(source=found.repository.url, name=body.name)
        chosen = [await added(request, control)]
    repository, project = found.repository, chosen[0]
    for each in chosen:
        await control.store.forges.link(
            each.id, found.stored.id, repository.id, repository.name, repository.installation
        )
    webhooks, warnings = await _webhooks(found, control)
    control.resync()
    return GitHubProject(
        project=project_view(project, len(await control.store.previews.all(project.name))),
        repository=repository.name,
        moved=[each.name for each in chosen if each in behind],
        webhooks=webhooks,
        warnings=warnings,
    )


async def _webhooks(found: Reached, control: Control) -> tuple[bool, list[str]]:
    """Whether GitHub will tell us of the repository; with a token it is asked to, with an App set.

    The project is added in any case: without webhooks it is compared every five minutes.
    """
    given = found.stored.credentials.get(connections.ADDRESS)
    if found.stored.app is not None or not isinstance(found.forge, GitHub):
        return (True, []) if given else (False, ["The App was made without webhooks."])
    try:
        public = connections.public_address(
            given.reveal() if given else control.settings.public_url, host(found.stored.url)
        )
        if public is None:
            return False, ["This server has no PREVIEWDROP_PUBLIC_URL for webhooks."]
        secret = found.stored.credentials["webhook"]
        await found.forge.hook(found.repository, f"{public}/webhooks/github", secret)
    except PreviewDropError as error:
        return False, [str(error)]
    return True, []


def _free(projects: list[Project]) -> list[Project]:
    """Those that no host tells of yet."""
    return [each for each in projects if each.present and each.forge_id is None]


def _behind(
    projects: list[Project], found: Reached, known: Mapping[int, StoredForge]
) -> list[Project]:
    """Those that an older connection tells of: an App's address for webhooks, for one, is fixed.

    One that does not answer at the moment is left for none that comes after it.
    """
    return [
        each
        for each in projects
        if each.present
        and (former := known.get(each.forge_id or 0)) is not None
        and repositories.rank(found.stored) < repositories.rank(former)
    ]


def _is(project: Project, one: Reached) -> bool:
    if project.forge_id == one.stored.id and project.repository == one.repository.id:
        return True
    return repositories.same_place(project.source, one.repository.url)
