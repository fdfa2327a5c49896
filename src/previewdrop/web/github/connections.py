"""Connections to GitHub: how credentials are made and kept, and what is told of them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from previewdrop.config.settings import web_address
from previewdrop.domain.errors import BadInput
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Refused
from previewdrop.forge.github.client import Client
from previewdrop.forge.github.github import GitHub
from previewdrop.forge.github.host import Host, local
from previewdrop.forge.github.manifest import registered
from previewdrop.store.forges import Forges, StoredForge
from previewdrop.store.store import Store
from previewdrop.web.github.attempts import Attempt

KIND = "github"
PAGE = "page"
"""Among an App's credentials: its page at GitHub, whose address differs from host to host."""
ADDRESS = "address"
"""Among the credentials: where webhooks go. A token may have none of its own."""
_WEBHOOK = "webhook"
_FORMER = "former webhooks"
"""Among a token's credentials: the secrets that webhooks were made with before, newest first."""
_FORMER_KEPT = 3


async def register(store: Store, attempt: Attempt, code: str) -> None:
    """Ends an attempt: GitHub's code becomes an App, whose credentials are kept.

    Refused or BadInput for a code that is none; Unavailable if it may be tried again.
    """
    client = Client(attempt.host)
    try:
        made = await registered(client, code)
    finally:
        await client.aclose()
    credentials = {"key": made.app.key, "webhook": made.app.webhook, PAGE: Secret(made.url)}
    if attempt.public is not None:
        credentials[ADDRESS] = Secret(attempt.public)
    stored = await store.forges.add(
        KIND, attempt.host.web, credentials, slug=made.slug, app=made.app.id
    )
    attempt.registration, attempt.connection = made, stored.id


async def check_token(host: Host, token: Secret) -> str:
    """Whose token it is. BadInput for one that GitHub does not take."""
    github = GitHub.by_token(host, token)
    try:
        with explained():
            return await github.access.author()
    finally:
        await github.aclose()


async def keep_token(
    forges: Forges,
    host: Host,
    token: Secret,
    *,
    login: str | None = None,
    webhook: Secret | None = None,
    address: str | None = None,
) -> StoredForge:
    """Keeps a token. It takes the place of the last one there, and leaves its webhooks valid.

    They have the secret that they were made with, so a new one counts beside the last few.
    """
    former = next((one for one in await forges.all() if is_token(one, host)), None)
    known: Mapping[str, Secret] = former.credentials if former else {}
    secrets_known = webhooks(known)
    current = webhook or next(iter(secrets_known), Secret(secrets.token_urlsafe(32)))
    others = [each.reveal() for each in secrets_known if each != current][:_FORMER_KEPT]
    credentials = {"token": token, _WEBHOOK: current, _FORMER: Secret(json.dumps(others))}
    if address is not None:
        credentials[ADDRESS] = Secret(address)
    elif ADDRESS in known:
        credentials[ADDRESS] = known[ADDRESS]
    if login is None and former is not None and known.get("token") == token:
        login = former.slug
    return await forges.add(KIND, host.web, credentials, slug=login)


def webhooks(credentials: Mapping[str, Secret]) -> list[Secret]:
    """The secrets of the webhooks of a connection, newest first."""
    former = credentials.get(_FORMER)
    texts: list[str] = json.loads(former.reveal()) if former else []
    return [*filter(None, [credentials.get(_WEBHOOK)]), *map(Secret, texts)]


def is_token(stored: StoredForge, host: Host) -> bool:
    """Whether this is the token for a host; there is one at the most."""
    return (stored.kind, stored.url, stored.app) == (KIND, host.web, None)


def installation_link(stored: StoredForge) -> str | None:
    """Where an App's repositories are chosen; None for a token."""
    place = stored.credentials.get(PAGE)
    return None if place is None else f"{place.reveal()}/installations/new"


def public_address(text: str | None, place: Host) -> str | None:
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


@contextmanager
def explained() -> Generator[None]:
    """GitHub's no to what somebody asks for now is an answer about what they gave."""
    try:
        yield
    except Refused as refused:
        raise BadInput(refused.message, refused.hint) from refused
