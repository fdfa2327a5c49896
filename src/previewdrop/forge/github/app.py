"""A GitHub App: what identifies it, and the tokens that it gets for its installations.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from http import HTTPStatus

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from previewdrop.domain.errors import BadConfig
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Refused
from previewdrop.forge.events import Repository
from previewdrop.forge.github import calls, payloads, results
from previewdrop.forge.github.access import Installation
from previewdrop.forge.github.answers import Answer, read, read_list
from previewdrop.forge.github.calls import Call
from previewdrop.forge.github.client import Bearer, Client
from previewdrop.forge.github.paging import pages
from previewdrop.forge.github.tokens import Token, Tokens

_SKEW = 60
"""GitHub's advice against clocks that differ."""
_LIFE = 540
"""GitHub takes ten minutes at most, and its clock may be behind by the skew."""


@dataclass(frozen=True, slots=True)
class App:
    """An App as registered: `id` is its number, `key` its private key in PEM.

    `webhook` is the secret that its webhooks are signed with.
    """

    id: int
    key: Secret
    webhook: Secret


def signing_key(pem: Secret) -> rsa.RSAPrivateKey:
    """BadConfig for anything but an RSA key in PEM, which is what GitHub hands out."""
    try:
        key = serialization.load_pem_private_key(pem.reveal().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadConfig(
            "The private key of the GitHub App is no RSA key in PEM.",
            "Make a new one on the App's page and give the whole file.",
        )
    return key


def jwt(app: int, key: rsa.RSAPrivateKey, now: float) -> Secret:
    """What proves for nine minutes from `now`, in seconds since 1970, that we are the App.

    https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
    """
    at = int(now)
    claims: dict[str, object] = {"iat": at - _SKEW, "exp": at + _LIFE, "iss": str(app)}
    signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return Secret(f"{signed}.{_base64(signature)}")


class AppAccess:
    """An App's credentials: one token an installation, and a narrower one for each clone."""

    def __init__(self, client: Client, app: App) -> None:
        self._client = client
        self._app = app
        self._key = signing_key(app.key)
        self._tokens = Tokens(client.now)
        self._found: dict[tuple[int, int | None], int] = {}
        self._author: str | None = None

    async def token(self, repository: Repository) -> Bearer:
        return await self._for(repository, None)

    async def clone_token(self, repository: Repository) -> Secret:
        return (await self._for(repository, repository)).token

    def expired(self, token: Secret) -> bool:
        self._tokens.forget(token)
        return True

    async def author(self) -> str:
        if self._author is None:
            told = read(results.AppPayload, (await self._as_app(calls.app())).value)
            self._author = f"{told.slug}[bot]"
        return self._author

    async def installations(self) -> list[Installation]:
        return [
            Installation(told.id, told.account.name, told.html_url, told.suspended_at is not None)
            async for page in pages(self._as_app, calls.installations)
            for told in read_list(results.InstallationPayload, page)
        ]

    async def repositories(self) -> list[Repository]:
        found: list[Repository] = []
        for installation in await self.installations():
            if not installation.suspended:
                found += await self._reached_by(installation.id)
        return found

    async def _reached_by(self, installation: int) -> list[Repository]:
        async def send(call: Call) -> Answer:
            return await self._client.send(call, await self._token(installation, None))

        return [
            told.repository(self._client.host.web, installation)
            async for page in pages(send, calls.installed_repositories)
            for told in read(results.InstalledRepositories, page).repositories
        ]

    async def _for(self, repository: Repository, only: Repository | None) -> Bearer:
        known = self._found.get(_told(repository), repository.installation)
        if known is None:
            return await self._token(await self._find(repository), only)
        try:
            return await self._token(known, only)
        except Refused as refused:
            if not refused.missing and refused.answer != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
            # Uninstalled and installed again: the installation has another number. Or transferred:
            # the one that is known is there, and must not hand out this repository.
            found = await self._find(repository)
            if found == known:
                raise
            return await self._token(found, only)

    async def _find(self, repository: Repository) -> int:
        answer = await self._as_app(calls.installation(repository))
        found = self._found[_told(repository)] = read(payloads.OfInstallation, answer.value).id
        return found

    async def _token(self, installation: int, only: Repository | None) -> Bearer:
        async def make() -> Token:
            told = read(
                results.TokenPayload, (await self._as_app(calls.token(installation, only))).value
            )
            return Token(Secret(told.token), told.expires_at.timestamp())

        token = await self._tokens.get((installation, only.id if only else None), make)
        return Bearer(token, f"installation {installation}")

    async def _as_app(self, call: Call) -> Answer:
        try:
            return await self._client.send(call, self._jwt())
        except Refused as refused:
            if refused.answer != HTTPStatus.UNAUTHORIZED:
                raise
        # If our clock was wrong, then the refusal has told the right time.
        return await self._client.send(call, self._jwt())

    def _jwt(self) -> Bearer:
        return Bearer(jwt(self._app.id, self._key, self._client.now()), "the App")


def _told(repository: Repository) -> tuple[int, int | None]:
    """What was found out holds until somebody tells of another installation."""
    return repository.id, repository.installation


def _part(claims: dict[str, object]) -> str:
    return _base64(json.dumps(claims, separators=(",", ":")).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
