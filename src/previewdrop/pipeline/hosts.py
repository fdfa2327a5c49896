"""The code hosts that are connected, and the projects on them."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from previewdrop.domain.errors import BadConfig, NoAccess
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Forge
from previewdrop.forge.events import Repository
from previewdrop.store.forges import StoredForge
from previewdrop.store.store import Store
from previewdrop.store.tables import Project

log = logging.getLogger(__name__)

_KEPT = 1.0
"""Seconds. Webhooks come by the hundred, and credentials are decrypted each time they are read."""

T = TypeVar("T")

Make = Callable[[StoredForge], Forge]


@dataclass(frozen=True, slots=True)
class Place:
    """A project's repository on its host."""

    forge: Forge
    repository: Repository


class Hosts:
    """Each connected host as a Forge, made once for the same credentials."""

    def __init__(self, store: Store, make: Make) -> None:
        self._store = store
        self._make = make
        self._made: dict[int, tuple[StoredForge, Forge]] = {}
        self._opened: list[Forge] = []
        self._listed: Sequence[tuple[StoredForge, Forge]] = ()
        self._listed_at = self._missed_at = -math.inf
        self._listing = asyncio.Lock()

    async def all(self, *, fresh: bool = True) -> Sequence[tuple[StoredForge, Forge]]:
        """All that can be talked to; one whose credentials cannot be does not stop the others.

        Not `fresh`, as they were a second ago at the most.
        """
        async with self._listing:
            if fresh or time.monotonic() - self._listed_at > _KEPT:
                self._listed, self._listed_at = await self._list(), time.monotonic()
            return self._listed

    async def missed(self) -> Sequence[tuple[StoredForge, Forge]]:
        """All as they are now, for a call that none has signed; none once more in a second.

        It may be of one that was connected a moment ago, but anybody can make such a call.
        """
        now = time.monotonic()
        if now - self._missed_at <= _KEPT:
            return ()
        self._missed_at = now
        return await self.all()

    async def get(self, forge_id: int) -> Forge:
        """NotFound for one that is not connected any more."""
        for stored, forge in await self.all(fresh=False):
            if stored.id == forge_id:
                return forge
        return self._forge(await self._store.forges.get(forge_id))

    async def of(self, project: Project) -> Place | None:
        """Where a project is; None for a repository that no host tells us about."""
        if project.forge_id is None or project.repository is None:
            return None
        forge = await self.get(project.forge_id)
        return Place(forge, repository_of(project))

    async def with_login(
        self, project: Project, work: Callable[[Secret | None], Awaitable[T]]
    ) -> T:
        """What `work` does with the login of `git fetch`: the host's, or the one of the URL.

        A host's that Git does not take any more, because somebody revoked it, is replaced once.
        """
        place = await self.of(project)
        if place is None:
            return await work(self._store.projects.login(project))
        user, password = await place.forge.login(place.repository)
        try:
            return await work(_pair(user, password))
        except NoAccess:
            user, another = await place.forge.login(place.repository, password)
            if another == password:
                raise
        return await work(_pair(user, another))

    async def close(self) -> None:
        """Ends the connections of all that were ever made: calls may be under way until now."""
        for forge in self._opened:
            await forge.aclose()

    async def _list(self) -> Sequence[tuple[StoredForge, Forge]]:
        found: list[tuple[StoredForge, Forge]] = []
        for one in await self._store.forges.all():
            try:
                found.append((one, self._forge(one)))
            except BadConfig as error:
                log.warning("%s: %s", one.url, error)
        return found

    def _forge(self, stored: StoredForge) -> Forge:
        made = self._made.get(stored.id)
        if made is None or made[0] != stored:
            self._made[stored.id] = made = (stored, self._make(stored))
            self._opened.append(made[1])
        return made[1]


def _pair(user: str, password: Secret) -> Secret:
    return Secret(f"{user}:{password.reveal()}")


def repository_of(project: Project) -> Repository:
    return Repository(
        id=project.repository or 0,
        name=project.repository_name or "",
        url=project.source,
        installation=project.installation,
    )
