"""GitHub as a Forge, by an App or by a person's token."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from weakref import WeakValueDictionary

import httpx2

from previewdrop.domain.errors import Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Environment, Labelled, Page, Refused, Status, Written
from previewdrop.forge.events import Commented, Delivery, Pull, Repository
from previewdrop.forge.github import calls, comments, environments, parse, results, signature
from previewdrop.forge.github.access import Access, Installation
from previewdrop.forge.github.answers import Answer, read, read_list
from previewdrop.forge.github.app import App, AppAccess
from previewdrop.forge.github.calls import Call
from previewdrop.forge.github.client import Client
from previewdrop.forge.github.host import Host
from previewdrop.forge.github.labels import labelled as find_labelled
from previewdrop.forge.github.manifest import EVENTS
from previewdrop.forge.github.paging import Send, pages
from previewdrop.forge.github.payloads import PullPayload
from previewdrop.forge.github.personal import PersonalAccess

_USER = "x-access-token"
"""https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation"""
_ROUNDS = 3
_WRITERS = frozenset({"admin", "maintain", "write"})


class GitHub:
    """A Forge. Errors are those of Client; call `aclose` at the end.

    `webhooks` are the secrets of which webhooks are signed with one; without any none is verified.
    """

    def __init__(self, client: Client, access: Access, *webhooks: Secret) -> None:
        self.access = access
        self._client = client
        self._webhooks = webhooks
        self._locks: WeakValueDictionary[tuple[int, int, str], asyncio.Lock] = WeakValueDictionary()

    @classmethod
    def by_app(
        cls, host: Host, app: App, *more: Secret, transport: httpx2.AsyncBaseTransport | None = None
    ) -> GitHub:
        """With an App's credentials, and secrets of further webhooks. BadConfig for no key."""
        client = Client(host, transport=transport)
        return cls(client, AppAccess(client, app), app.webhook, *more)

    @classmethod
    def by_token(
        cls,
        host: Host,
        token: Secret,
        *webhooks: Secret,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> GitHub:
        """With a person's token. BadConfig for what cannot be one."""
        client = Client(host, transport=transport)
        return cls(client, PersonalAccess(client, token), *webhooks)

    def verified(self, headers: Mapping[str, str], body: bytes) -> bool:
        return any(signature.verified(each, headers, body) for each in self._webhooks)

    def parsed(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        return parse.parsed(headers, body, self._client.host.web)

    async def installations(self) -> list[Installation]:
        """Where the App is installed; none by a person's token."""
        return await self.access.installations()

    async def repositories(self) -> list[Repository]:
        return await self.access.repositories()

    async def open_pulls(self, repository: Repository, mark: str | None = None) -> Page:
        """The mark is the ETags of all pages, one a line; each is asked for with its own.

        https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
        Tokens of an App change each hour, and ETags with them: then the list comes again.
        """
        if mark is not None and await self._unchanged(repository, mark.split("\n")):
            return Page(None, mark)
        for _ in range(_ROUNDS):
            pulls, marks = await self._listed(repository)
            # One that is closed meanwhile moves all behind it forward, over the edges of pages.
            if await self._unchanged(repository, marks[:-1]):
                return Page(tuple(pulls), "\n".join(marks) or None)
        raise Unavailable(f"The pull requests of {repository.name} changed while they were listed.")

    async def pull(self, repository: Repository, number: int) -> Pull | None:
        try:
            answer = await self._send(repository, calls.pull(repository, number))
        except Refused as refused:
            if not refused.missing:
                raise
            # A repository that we do not see any more says nothing about its pull requests.
            await self._send(repository, calls.repository(repository))
            return None
        return read(PullPayload, answer.value).pull()

    async def comments_since(self, repository: Repository, since: datetime) -> list[Commented]:
        found: list[Commented] = []
        send = self._sender(repository)
        async for page in pages(send, lambda page: calls.comments_since(repository, since, page)):
            listed = read_list(results.RepositoryComment, page)
            # Of edited ones webhooks do not tell either, nor of those on issues.
            found += [each.told(repository) for each in listed if each.on_pull and not each.edited]
        return [each for each in found if each.at >= since]

    async def labelled(
        self, repository: Repository, number: int, labels: Collection[str]
    ) -> Labelled | None:
        return await find_labelled(self._sender(repository), repository, number, labels)

    async def may_write(self, repository: Repository, login: str) -> bool:
        try:
            answer = await self._send(repository, calls.permission(repository, login))
        except Refused as refused:
            if refused.missing:
                return False
            raise
        return read(results.PermissionPayload, answer.value).permission in _WRITERS

    async def login(
        self, repository: Repository, refused: Secret | None = None
    ) -> tuple[str, Secret]:
        if refused is not None:
            self.access.expired(refused)
        return _USER, await self.access.clone_token(repository)

    async def comment(
        self, repository: Repository, number: int, mark: str, text: str, known: int | None
    ) -> Written:
        key = (repository.id, number, mark)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            return await comments.upsert(
                self._sender(repository), self.access, repository, number, mark, text, known
            )

    async def react(self, repository: Repository, comment: int, reaction: str) -> None:
        await self._send(repository, calls.react(repository, comment, reaction))

    async def status(self, repository: Repository, status: Status) -> None:
        await self._send(repository, calls.status(repository, status))

    async def environment(
        self, repository: Repository, environment: Environment, known: int | None
    ) -> int | None:
        return await environments.settle(self._sender(repository), repository, environment, known)

    async def hook(
        self,
        repository: Repository,
        address: str,
        secret: Secret,
        events: Sequence[str] = EVENTS,
    ) -> int:
        """The repository's own webhook to `address`, which an App does not need; its id.

        One with the same address is changed, so that there is never a second.
        """
        known = None
        send = self._sender(repository)
        async for page in pages(send, lambda page: calls.hooks(repository, page)):
            for each in read_list(results.HookPayload, page):
                if each.config.url == address:
                    known = each.id
        answer = await send(calls.hook(repository, address, secret, events, known))
        return read(results.HookPayload, answer.value).id

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _listed(self, repository: Repository) -> tuple[list[Pull], list[str]]:
        """All of them, and the ETags of all pages where the host gives them."""
        pulls: list[Pull] = []
        marks: list[str] = []
        page, more = 1, True
        while more:
            answer = await self._send(repository, calls.pulls(repository, page))
            pulls += [each.pull() for each in read_list(PullPayload, answer.value)]
            marks += [answer.mark] if answer.mark else []
            page, more = page + 1, answer.more
        return pulls, marks if len(marks) == page - 1 else []

    async def _unchanged(self, repository: Repository, marks: list[str]) -> bool:
        for page, mark in enumerate(marks, 1):
            answer = await self._send(repository, calls.pulls(repository, page, mark))
            if answer.changed:
                return False
        return True

    def _sender(self, repository: Repository) -> Send:
        async def send(call: Call) -> Answer:
            return await self._send(repository, call)

        return send

    async def _send(self, repository: Repository, call: Call) -> Answer:
        bearer = await self.access.token(repository)
        try:
            return await self._client.send(call, bearer)
        except Refused as refused:
            if refused.answer != HTTPStatus.UNAUTHORIZED or not self.access.expired(bearer.token):
                raise
        return await self._client.send(call, await self.access.token(repository))
