"""One of each driver that hands each call to the driver of the runtime that it is about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Collection, Iterable, Mapping
from typing import TypeVar

from previewdrop.domain.app import AppFacts
from previewdrop.domain.errors import Unavailable
from previewdrop.domain.spec import DOCKER, PROCESS, CacheSpec, DatabaseSpec, Process, RunSpec
from previewdrop.drivers.base import (
    Artifact,
    Builder,
    BuildSpec,
    Cache,
    Database,
    Endpoint,
    Handle,
    Listening,
    LogLine,
    ObservedDatabase,
    ObservedProcess,
    ObservedRun,
    Runtime,
)
from previewdrop.drivers.together import all_of

Driver = TypeVar("Driver")


class ChosenBuilder:
    """Images are built by the docker runtime's builder, environments by that of processes."""

    def __init__(self, builders: Mapping[str, Builder]) -> None:
        self._builders = builders

    async def ensure(self, spec: BuildSpec, log: LogLine) -> Artifact:
        return await self._builders[DOCKER if spec.image else PROCESS].ensure(spec, log)

    async def sweep(self, in_use: Collection[str]) -> list[str]:
        return await _joined(one.sweep(in_use) for one in self._builders.values())

    async def discard(self, keys: Collection[str]) -> None:
        for one in self._builders.values():
            await one.discard(keys)


class ChosenRuntime:
    """Each deployment runs where its artifact was built for."""

    def __init__(self, runtimes: Mapping[str, Runtime]) -> None:
        self._runtimes = runtimes

    @property
    def isolation(self) -> str:
        return " ".join(one.isolation for one in self._runtimes.values())

    @property
    def isolated(self) -> bool:
        return all(one.isolated for one in self._runtimes.values())

    def choose_port(self, configured: int | None, artifact: Handle) -> int:
        return self._of(artifact).choose_port(configured, artifact)

    def web_command(self, facts: AppFacts, port: int, artifact: Handle) -> Process:
        return self._of(artifact).web_command(facts, port, artifact)

    async def ensure(self, spec: RunSpec) -> Handle:
        return await self._of(spec.artifact).ensure(spec)

    async def observe(self, handle: Handle) -> ObservedRun:
        return await self._of(handle).observe(handle)

    async def listening(self, handle: Handle) -> Listening:
        return await self._of(handle).listening(handle)

    async def wait(self, handle: Handle) -> ObservedProcess:
        return await self._of(handle).wait(handle)

    async def run(self, spec: RunSpec, command: Process, log: LogLine, timeout: float) -> int:
        return await self._of(spec.artifact).run(spec, command, log, timeout)

    def logs(self, handle: Handle, *, follow: bool = False) -> AsyncIterator[tuple[str, str]]:
        return self._of(handle).logs(handle, follow=follow)

    async def stop(self, handle: Handle, grace: float) -> None:
        await self._of(handle).stop(handle, grace)

    async def remove(self, handle: Handle) -> None:
        await self._of(handle).remove(handle)

    async def sweep(self, wanted: Collection[int]) -> list[str]:
        return await _joined(one.sweep(wanted) for one in self._runtimes.values())

    def _of(self, handle: Handle) -> Runtime:
        return _chosen(self._runtimes, str(handle.get("runtime", PROCESS)))


class ChosenDatabase:
    """Each database is on its runtime's own server."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases

    async def ensure(self, spec: DatabaseSpec) -> tuple[Endpoint, bool]:
        return await _chosen(self._databases, spec.server).ensure(spec)

    async def observe(self, spec: DatabaseSpec) -> ObservedDatabase:
        return await _chosen(self._databases, spec.server).observe(spec)

    async def remove(self, spec: DatabaseSpec) -> None:
        await _chosen(self._databases, spec.server).remove(spec)

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        return await _joined(one.sweep(wanted) for one in self._databases.values())


class ChosenCache:
    """Each number is on its runtime's own server; all servers have as many to lease."""

    def __init__(self, caches: Mapping[str, Cache]) -> None:
        self._caches = caches

    async def capacity(self) -> int:
        return min([await one.capacity() for one in self._caches.values()])

    async def ensure(self, spec: CacheSpec) -> tuple[Endpoint, bool]:
        return await _chosen(self._caches, spec.server or PROCESS).ensure(spec)

    async def remove(self, spec: CacheSpec) -> None:
        if spec.server is not None:
            await _chosen(self._caches, spec.server).remove(spec)
            return
        await all_of(*(one.remove(spec) for one in self._caches.values()))

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        return await _joined(one.sweep(wanted) for one in self._caches.values())


def _chosen(drivers: Mapping[str, Driver], runtime: str) -> Driver:
    if runtime not in drivers:
        raise Unavailable(
            f"This preview runs in {runtime}, which cannot be used now.",
            "Is the Docker Engine running, and does PREVIEWDROP_RUNTIME allow docker?",
        )
    return drivers[runtime]


async def _joined(lists: Iterable[Awaitable[list[str]]]) -> list[str]:
    return [each for found in await all_of(*lists) for each in found]
