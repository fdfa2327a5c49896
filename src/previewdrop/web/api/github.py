"""/api/v1/github: connecting GitHub, and making projects of its repositories."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import APIRouter, Request

from previewdrop.config.settings import web_address
from previewdrop.domain.errors import BadInput, Conflict, NotFound, PreviewDropError
from previewdrop.domain.secret import Secret
from previewdrop.forge.github.github import GitHub
from previewdrop.forge.github.host import Host, host, local
from previewdrop.store.forges import StoredForge
from previewdrop.store.tables import Project
from previewdrop.web import github
from previewdrop.web.api.depends import AttemptsDep, ControlDep
from previewdrop.web.api.github_schema import (
    AttemptView,
    GitHubConnection,
    GitHubProject,
    GitHubProjectRequest,
    GitHubRepositories,
    GitHubRepository,
    GitHubRequest,
)
from previewdrop.web.api.projects import added
from previewdrop.web.api.schema import ProjectRequest
from previewdrop.web.api.views import project_view
from previewdrop.web.connecting import Attempt
from previewdrop.web.github import Reached
from previewdrop.web.ports import Control

router = APIRouter(prefix="/api/v1/github", tags=["github"])


@router.post("/connections", status_code=HTTPStatus.CREATED)
async def connect(
    body: GitHubRequest, request: Request, control: ControlDep, attempts: AttemptsDep
) -> AttemptView:
    """Begins to connect GitHub by an App of your own, or connects it at once by a token.

    The App is made in a browser, at the `url` of the answer.
    """
    place = host(body.url or control.settings.github_url)
    public = _public(body.address or control.settings.public_url, place)
    if body.token is None:
        attempt = attempts.begin(place, body.organization, _base(request, public), public)
        return await _shown(attempt, control)
    token = Secret(body.token.get_secret_value())
    login = await github.check_token(place, token)
    webhook = Secret(body.webhook.get_secret_value()) if body.webhook else None
    stored = await github.keep_token(
        control.store.forges,
        place,
        token,
        login=login,
        webhook=webhook,
        address=public if body.address else None,
    )
    return AttemptView(state="connected", connection=_connection(stored, control))


@router.get("/attempts/{attempt}")
async def show_attempt(attempt: str, control: ControlDep, attempts: AttemptsDep) -> AttemptView:
    """How far somebody is in the browser."""
    found = attempts.seen(attempt)
    if found is None:
        raise NotFound(
            "This connection was not completed within an hour.",
            "Run `previewdrop github connect` again.",
        )
    return await _shown(found, control)


@router.get("/connections")
async def list_connections(control: ControlDep) -> list[GitHubConnection]:
    return [_connection(one, control) for one in await _connections(control)]


@router.delete("/connections/{connection}")
async def disconnect(connection: int, control: ControlDep) -> GitHubConnection:
    """Forgets a connection's credentials. Its projects stay, and follow pull requests no more."""
    stored = await control.store.forges.get(connection)
    settings = control.settings
    if settings.github_token and github.is_token(stored, host(settings.github_url)):
        raise Conflict(
            "This connection is made by PREVIEWDROP_GITHUB_TOKEN.",
            "Unset it and start the server again.",
        )
    await control.store.forges.remove(connection)
    return _connection(stored, control)


@router.get("/repositories")
async def list_repositories(control: ControlDep) -> GitHubRepositories:
    """All that the connections see. `warnings` has those that did not answer."""
    there, silent = await github.reached(control.hosts)
    projects = [project for project, _ in await control.store.projects.all()]
    shown = [
        GitHubRepository(
            name=each.repository.name,
            url=each.repository.url,
            private=each.repository.private,
            connection=each.stored.id,
            projects=[one.name for one in projects if _is(one, each)],
        )
        for each in there
    ]
    return GitHubRepositories(repositories=shown, warnings=list(silent))


@router.post("/projects", status_code=HTTPStatus.CREATED)
async def add_project(body: GitHubProjectRequest, control: ControlDep) -> GitHubProject:
    """Makes a project of a repository, whose pull requests then drive previews.

    A project that has the repository's address already becomes it; a second project of the same
    repository, such as another folder of a monorepo, needs a `name` of its own.
    """
    found = await github.find(control.hosts, body.repository)
    there = [one for one, _ in await control.store.projects.all() if _is(one, found)]
    project = _adoptable(there, body.name)
    if project is None:
        if there and body.name is None:
            raise Conflict(
                f"{found.repository.name} is the project {there[0].name} already.",
                "Give a second one another name with --name.",
            )
        request = ProjectRequest(source=found.repository.url, name=body.name)
        project = await added(request, control)
    repository = found.repository
    await control.store.forges.link(
        project.id, found.stored.id, repository.id, repository.name, repository.installation
    )
    webhooks, warnings = await _webhooks(found, control)
    control.resync()
    return GitHubProject(
        project=project_view(project, len(await control.store.previews.all(project.name))),
        repository=repository.name,
        webhooks=webhooks,
        warnings=warnings,
    )


async def _webhooks(found: Reached, control: Control) -> tuple[bool, list[str]]:
    """Whether GitHub will tell us of the repository; with a token it is asked to, with an App set.

    The project is added in any case: without webhooks it is compared every five minutes.
    """
    given = found.stored.credentials.get(github.ADDRESS)
    if found.stored.app is not None or not isinstance(found.forge, GitHub):
        return (True, []) if given else (False, ["The App was made without webhooks."])
    try:
        public = _public(
            given.reveal() if given else control.settings.public_url, host(found.stored.url)
        )
        if public is None:
            return False, ["This server has no PREVIEWDROP_PUBLIC_URL for webhooks."]
        secret = found.stored.credentials["webhook"]
        await found.forge.hook(found.repository, f"{public}/webhooks/github", secret)
    except PreviewDropError as error:
        return False, [str(error)]
    return True, []


def _adoptable(there: list[Project], name: str | None) -> Project | None:
    """The project of this repository that no host tells of yet."""
    free = [
        each
        for each in there
        if each.present and each.forge_id is None and name in (None, each.name)
    ]
    return free[0] if free else None


def _is(project: Project, one: Reached) -> bool:
    if project.forge_id == one.stored.id and project.repository == one.repository.id:
        return True
    return github.same_place(project.source, one.repository.url)


async def _shown(attempt: Attempt, control: Control) -> AttemptView:
    known = {each.id: each for each in await _connections(control)}
    made = known.get(attempt.connection) if attempt.connection is not None else None
    state = "connected" if attempt.connection else "failed" if attempt.error else "waiting"
    return AttemptView(
        id=attempt.id,
        url=None if attempt.ended else attempt.page,
        state=state,
        error=attempt.error,
        connection=_connection(made, control) if made else None,
    )


async def _connections(control: Control) -> list[StoredForge]:
    return [one for one in await control.store.forges.all() if one.kind == github.KIND]


def _connection(stored: StoredForge, control: Control) -> GitHubConnection:
    public = control.settings.public_url
    return GitHubConnection(
        id=stored.id,
        kind="token" if stored.app is None else "app",
        url=stored.url,
        slug=stored.slug,
        app=stored.app,
        webhooks=github.ADDRESS in stored.credentials or (stored.app is None and bool(public)),
        install_url=github.installation_link(stored),
    )


def _public(text: str | None, place: Host) -> str | None:
    """BadInput for what is no address, or none that this GitHub can reach."""
    if text is None:
        return None
    try:
        address = web_address(text)
    except ValueError as error:
        raise BadInput(f"The address of this server {error}.") from error
    if local(urlsplit(address).hostname or "") and not local(urlsplit(place.web).hostname or ""):
        raise BadInput(
            f"GitHub cannot reach {address}, which is this machine alone.",
            "Give the address of a reverse proxy or a tunnel, or none: then pull requests are "
            "compared every five minutes.",
        )
    return address


def _base(request: Request, public: str | None) -> str:
    """This server as whoever asks reaches it, and so their browser."""
    asked = request.base_url
    if public is not None and urlsplit(public).netloc == asked.netloc:
        return public  # which may be encrypted by a proxy in front of us
    return str(asked).rstrip("/")
