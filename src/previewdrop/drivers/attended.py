"""Databases and caches on a server that is started when it is first needed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from previewdrop.domain.spec import CacheSpec, DatabaseSpec
from previewdrop.drivers.base import Cache, Database, Endpoint, ObservedDatabase

Attend = Callable[[], Awaitable[object]]
"""Makes sure that the server runs; Unavailable or ServerError when it cannot."""

Exists = Callable[[], Awaitable[bool]]
"""Whether the server was ever started: if not, there is nothing on it."""


class AttendedDatabase:
    """The Database contract of `inner`, whose server `attend` starts."""

    def __init__(self, inner: Database, attend: Attend, exists: Exists) -> None:
        self._inner = inner
        self._attend = attend
        self._exists = exists

    async def ensure(self, spec: DatabaseSpec) -> tuple[Endpoint, bool]:
        await self._attend()
        return await self._inner.ensure(spec)

    async def observe(self, spec: DatabaseSpec) -> ObservedDatabase:
        await self._attend()
        return await self._inner.observe(spec)

    async def remove(self, spec: DatabaseSpec) -> None:
        if await self._exists():
            await self._attend()
            await self._inner.remove(spec)

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        if not await self._exists():
            return []
        await self._attend()
        return await self._inner.sweep(wanted)


class AttendedCache:
    """The Cache contract of `inner`, whose server `attend` starts. `numbers` it will have."""

    def __init__(self, inner: Cache, attend: Attend, exists: Exists, numbers: int) -> None:
        self._inner = inner
        self._attend = attend
        self._exists = exists
        self._numbers = numbers

    async def capacity(self) -> int:
        return self._numbers - 1

    async def ensure(self, spec: CacheSpec) -> tuple[Endpoint, bool]:
        await self._attend()
        return await self._inner.ensure(spec)

    async def remove(self, spec: CacheSpec) -> None:
        if await self._exists():
            await self._attend()
            await self._inner.remove(spec)

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        if not await self._exists():
            return []
        await self._attend()
        return await self._inner.sweep(wanted)
