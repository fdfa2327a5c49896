"""/api/v1/github: connecting GitHub, and making projects of its repositories."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Request

from previewdrop.domain.errors import Conflict, NotFound
from previewdrop.domain.secret import Secret
from previewdrop.forge.github.host import host
from previewdrop.store.forges import StoredForge
from previewdrop.web.address import base_of
from previewdrop.web.api.depends import ControlDep
from previewdrop.web.github import connections, repositories
from previewdrop.web.github.attempts import Attempt
from previewdrop.web.github.depends import AttemptsDep
from previewdrop.web.github.schema import (
    AttemptView,
    GitHubConnection,
    GitHubInstallation,
    GitHubInstallations,
    GitHubRequest,
)
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
    public = connections.public_address(body.address or control.settings.public_url, place)
    if body.token is None:
        attempt = attempts.begin(place, body.organization, base_of(request, public), public)
        return await _shown(attempt, control)
    token = Secret(body.token.get_secret_value())
    login = await connections.check_token(place, token)
    webhook = Secret(body.webhook.get_secret_value()) if body.webhook else None
    stored = await connections.keep_token(
        control.store.forges,
        place,
        token,
        login=login,
        webhook=webhook,
        address=public if body.address else None,
    )
    await control.hosts()
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


@router.get("/installations")
async def list_installations(control: ControlDep) -> GitHubInstallations:
    """Where the connected Apps are installed. `warnings` has those that did not answer."""
    there, silent = await repositories.installed(control.hosts)
    shown = [
        GitHubInstallation(
            connection=each.stored.id,
            account=each.installation.account,
            suspended=each.installation.suspended,
            url=each.installation.url,
        )
        for each in there
    ]
    return GitHubInstallations(installations=shown, warnings=list(silent))


@router.delete("/connections/{connection}")
async def disconnect(
    connection: Annotated[int, Path(lt=2**31)], control: ControlDep
) -> GitHubConnection:
    """Forgets a connection's credentials. Its projects stay, and follow pull requests no more."""
    stored = await control.store.forges.get(connection)
    settings = control.settings
    if settings.github_token and connections.is_token(stored, host(settings.github_url)):
        raise Conflict(
            "This connection is made by PREVIEWDROP_GITHUB_TOKEN.",
            "Unset it and start the server again.",
        )
    await control.store.forges.remove(connection)
    return _connection(stored, control)


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
    return [one for one in await control.store.forges.all() if one.kind == connections.KIND]


def _connection(stored: StoredForge, control: Control) -> GitHubConnection:
    public = control.settings.public_url
    return GitHubConnection(
        id=stored.id,
        kind="token" if stored.app is None else "app",
        url=stored.url,
        slug=stored.slug,
        app=stored.app,
        webhooks=connections.ADDRESS in stored.credentials or (stored.app is None and bool(public)),
        install_url=connections.installation_link(stored),
    )
