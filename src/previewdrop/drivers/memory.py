"""In-memory drivers for tests and dry runs, which misbehave when they are told to.

    database = MemoryDatabase()
    database.misbehave(Misbehaviour.HALFWAY, times=1)     # the first ensure fails in the middle

Each driver keeps what it made in plain public dictionaries and the names of the calls it got in
`calls`. `ensure` misbehaves unless another call is named. The state lives as long as the object: a
restart of the control plane is played by giving the same drivers to a new one.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field

from previewdrop.domain.app import AppFacts
from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.spec import CacheSpec, DatabaseSpec, Process, Route, RunSpec
from previewdrop.drivers.base import (
    Artifact,
    BuildSpec,
    Endpoint,
    Handle,
    Listening,
    LogLine,
    ObservedDatabase,
    ObservedProcess,
    ObservedRun,
    ProcessState,
)
from previewdrop.misbehaviour import Misbehaving, Misbehaviour


class _Driver(Misbehaving):
    """Misbehaves in `ensure` unless another call is named."""

    def misbehave(
        self, how: Misbehaviour, *, call: str = "ensure", times: int | None = None
    ) -> None:
        super().misbehave(how, call=call, times=times)

    async def reached(self, call: str = "ensure") -> None:
        await super().reached(call)

    async def _enter(self, call: str) -> Misbehaviour | None:
        fault = await self._called(call)
        if fault is Misbehaviour.UNAVAILABLE:
            raise Unavailable(f"The in-memory driver did not answer {call}.")
        if fault is Misbehaviour.BROKEN:
            raise StageFailed(f"The in-memory driver was told to fail {call}.")
        return fault


def _halfway(call: str) -> Unavailable:
    return Unavailable(f"The in-memory driver stopped in the middle of {call}.")


class MemoryBuilder(_Driver):
    """A builder whose artifacts are keys: the same dependency files give the same key.

    `built` lists the keys in the order in which they were really built.
    """

    def __init__(self) -> None:
        super().__init__()
        self.artifacts: dict[str, Artifact] = {}
        self.built: list[str] = []
        self._locks: dict[str, asyncio.Lock] = {}

    async def ensure(self, spec: BuildSpec, log: LogLine) -> Artifact:
        digest = hashlib.sha256(repr((spec.python, spec.facts.dependencies)).encode())
        for name in spec.facts.dependencies.files:
            path = spec.source / name
            digest.update(path.read_bytes() if path.is_file() else b"")
        key = digest.hexdigest()[:16]
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key in self.artifacts:
                return Artifact({"key": key}, cached=True, note=f"environment {key[:4]} reused")
            fault = await self._enter("ensure")
            log(f"building environment {key[:4]}")
            if fault is Misbehaviour.HALFWAY:
                raise _halfway("ensure")
            artifact = Artifact({"key": key}, cached=False, note=f"environment {key[:4]} built")
            if fault is not Misbehaviour.LYING:
                self.artifacts[key] = artifact
                self.built.append(key)
            return artifact

    async def sweep(self, in_use: Collection[str]) -> list[str]:
        if await self._enter("sweep") is Misbehaviour.LYING:
            return []
        gone = [key for key in self.artifacts if key not in in_use]
        for key in gone:
            del self.artifacts[key]
        return gone

    async def discard(self, keys: Collection[str]) -> None:
        if await self._enter("discard") is not Misbehaviour.LYING:
            for key in keys:
                self.artifacts.pop(key, None)


@dataclass(frozen=True, slots=True)
class Script:
    """What a command does in MemoryRuntime.run: its lines, then its exit code, or it hangs.

    `does` is called in between, to play what the command changes elsewhere.
    """

    exit_code: int = 0
    lines: tuple[str, ...] = ()
    hangs: bool = False
    does: Callable[[], None] | None = None


@dataclass(slots=True)
class MemoryRun:
    """One deployment in MemoryRuntime."""

    spec: RunSpec
    ready: bool = True
    exit_code: int | None = None
    lines: list[tuple[str, str]] = field(default_factory=lambda: list[tuple[str, str]]())
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    server: asyncio.Server | None = None


class MemoryRuntime(_Driver):
    """A runtime without processes.

    With `serve` each deployment really listens on its port on 127.0.0.1 and answers every
    request with `status` (change it at any time); call `aclose()` at the end. `scripts` says what
    commands do: the first whose key is a part of the command is played, else it succeeds. What
    was run is in `commands`, as (deployment, process name, command).
    """

    isolation = "Previews exist in memory only."
    isolated = True

    def __init__(self, *, serve: bool = False) -> None:
        super().__init__()
        self.serve = serve
        self.status = 200
        self.runs: dict[int, MemoryRun] = {}
        self.scripts: dict[str, Script] = {}
        self.commands: list[tuple[int, str, str]] = []
        self.started: list[int] = []
        self._ports = itertools.count(20000)

    def choose_port(self, configured: int | None, artifact: Handle) -> int:
        if not self.serve:
            return next(self._ports)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return free.getsockname()[1]

    def web_command(self, facts: AppFacts, port: int, artifact: Handle) -> Process:
        return Process("web", ("serve", facts.app.import_string, str(port)))

    async def ensure(self, spec: RunSpec) -> Handle:
        fault = await self._enter("ensure")
        handle: Handle = {
            "deployment": spec.deployment,
            "port": spec.port,
            "upstream": f"127.0.0.1:{spec.port}",
        }
        there = self.runs.get(spec.deployment)
        if fault is Misbehaviour.LYING or (there and there.exit_code is None):
            return handle
        run = MemoryRun(spec, ready=fault is not Misbehaviour.NEVER_READY)
        self.runs[spec.deployment] = run
        self.started.append(spec.deployment)
        if fault is Misbehaviour.EXITS:
            run.lines.append((spec.web.name, "the app ended at once"))
            await self.crash(spec.deployment, 1)
        elif run.ready and self.serve:
            run.server = await asyncio.start_server(self._answer, "127.0.0.1", spec.port)
        if fault is Misbehaviour.HALFWAY:
            raise _halfway("ensure")
        return handle

    async def crash(self, deployment: int, exit_code: int = -9) -> None:
        """The deployment's web process ends by itself."""
        run = self.runs[deployment]
        run.exit_code = exit_code
        await _close(run.server)
        run.server = None
        run.ended.set()

    async def observe(self, handle: Handle) -> ObservedRun:
        await self._enter("observe")
        run = self._find(handle)
        return ObservedRun(
            web=_observed(run, run.spec.web if run else Process("web", "")),
            processes=tuple(_observed(run, each) for each in run.spec.processes) if run else (),
        )

    async def listening(self, handle: Handle) -> Listening:
        run = self._find(handle)
        listens = run is not None and run.ready and run.exit_code is None
        return Listening((f"127.0.0.1:{run.spec.port}",) if run and listens else ())

    async def wait(self, handle: Handle) -> ObservedProcess:
        run = self._find(handle)
        if run:
            await run.ended.wait()
        return _observed(run, run.spec.web if run else Process("web", ""))

    async def run(self, spec: RunSpec, command: Process, log: LogLine, timeout: float) -> int:
        text = command.command if isinstance(command.command, str) else " ".join(command.command)
        self.commands.append((spec.deployment, command.name, text))
        await self._enter("run")
        script = next((s for part, s in self.scripts.items() if part in text), Script())
        for line in script.lines:
            log(line)
        if script.does is not None:
            script.does()
        if script.hangs:
            async with asyncio.timeout(timeout):
                await asyncio.Event().wait()
        return script.exit_code

    async def logs(self, handle: Handle, *, follow: bool = False) -> AsyncIterator[tuple[str, str]]:
        run = self._find(handle)
        if run:
            for line in run.lines:
                yield line
            if follow:
                await run.ended.wait()

    async def stop(self, handle: Handle, grace: float) -> None:
        fault = await self._enter("stop")
        run = self._find(handle)
        if run and run.exit_code is None and fault is not Misbehaviour.LYING:
            await self.crash(run.spec.deployment, 0)

    async def remove(self, handle: Handle) -> None:
        fault = await self._enter("remove")
        run = self._find(handle)
        if run is None or fault is Misbehaviour.LYING:
            return
        if run.exit_code is None:
            await self.crash(run.spec.deployment)
        if fault is Misbehaviour.HALFWAY:
            raise _halfway("remove")
        self.runs.pop(run.spec.deployment, None)

    async def sweep(self, wanted: Collection[int]) -> list[str]:
        if await self._enter("sweep") is Misbehaviour.LYING:
            return []
        gone = [number for number in self.runs if number not in wanted]
        for number in gone:
            await self.crash(number)
            del self.runs[number]
        return [str(number) for number in gone]

    async def aclose(self) -> None:
        """Stops listening everywhere."""
        for run in self.runs.values():
            await _close(run.server)
            run.server = None

    def _find(self, handle: Handle) -> MemoryRun | None:
        deployment = handle.get("deployment")
        return self.runs.get(deployment) if isinstance(deployment, int) else None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(65536)
        if head:
            body = b'{"status": "ok"}' if self.status == 200 else b'{"status": "bad"}'
            writer.write(
                f"HTTP/1.1 {self.status} Memory\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            )
            writer.write(body)
        writer.close()


async def _close(server: asyncio.Server | None) -> None:
    if server:
        server.close()
        await server.wait_closed()


def _observed(run: MemoryRun | None, process: Process) -> ObservedProcess:
    if run is None:
        return ObservedProcess(process.name, ProcessState.MISSING)
    if run.exit_code is None:
        return ObservedProcess(process.name, ProcessState.RUNNING)
    return ObservedProcess(process.name, ProcessState.EXITED, exit_code=run.exit_code)


@dataclass(slots=True)
class MemoryDatabaseEntry:
    """A database or schema in MemoryDatabase. Set `revisions` to play migrations."""

    spec: DatabaseSpec
    complete: bool = True
    bytes: int = 8 * 1024 * 1024
    revisions: tuple[str, ...] = ()


class MemoryDatabase(_Driver):
    """Databases by role. `available` are the extensions that the server has."""

    def __init__(self, available: Collection[str] = ("pg_trgm", "citext")) -> None:
        super().__init__()
        self.available = frozenset(available)
        self.databases: dict[str, MemoryDatabaseEntry] = {}

    async def ensure(self, spec: DatabaseSpec) -> tuple[Endpoint, bool]:
        fault = await self._enter("ensure")
        if missing := sorted(set(spec.extensions) - self.available):
            raise StageFailed(f"The server has no extension {missing[0]}.")
        schema = spec.role if spec.isolation == "schema" else None
        endpoint = Endpoint("127.0.0.1", 5432, spec.name, spec.role, spec.password, schema)
        there = self.databases.get(spec.role)
        if fault is Misbehaviour.LYING:
            return endpoint, there is not None
        if there and there.complete:
            there.spec = spec
            return endpoint, True
        halfway = fault is Misbehaviour.HALFWAY
        self.databases[spec.role] = MemoryDatabaseEntry(spec, complete=not halfway)
        if halfway:
            raise _halfway("ensure")
        return endpoint, False

    async def observe(self, spec: DatabaseSpec) -> ObservedDatabase:
        await self._enter("observe")
        entry = self.databases.get(spec.role)
        if entry is None or not entry.complete:
            return ObservedDatabase(exists=False)
        return ObservedDatabase(True, entry.bytes, entry.revisions)

    async def remove(self, spec: DatabaseSpec) -> None:
        fault = await self._enter("remove")
        entry = self.databases.get(spec.role)
        if entry and fault is Misbehaviour.HALFWAY:
            entry.complete = False
            raise _halfway("remove")
        if fault is not Misbehaviour.LYING:
            self.databases.pop(spec.role, None)

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        if await self._enter("sweep") is Misbehaviour.LYING:
            return []
        gone = [role for role in self.databases if role not in wanted]
        for role in gone:
            del self.databases[role]
        return gone


class MemoryCache(_Driver):
    """Users of numbered databases: `users` by name; `emptied` are the numbers in order."""

    def __init__(self, numbers: int = 16) -> None:
        super().__init__()
        self.numbers = numbers
        self.users: dict[str, CacheSpec] = {}
        self.emptied: list[int] = []

    async def capacity(self) -> int:
        await self._enter("capacity")
        return self.numbers - 1

    async def ensure(self, spec: CacheSpec) -> tuple[Endpoint, bool]:
        fault = await self._enter("ensure")
        endpoint = Endpoint("127.0.0.1", 6379, str(spec.number), spec.user, spec.password)
        there = self.users.get(spec.user)
        known = there is not None and there.number == spec.number
        if fault is Misbehaviour.LYING:
            return endpoint, known
        if not known:
            self.emptied.append(spec.number)
        if fault is Misbehaviour.HALFWAY:
            raise _halfway("ensure")
        self.users[spec.user] = spec
        return endpoint, known

    async def remove(self, spec: CacheSpec) -> None:
        fault = await self._enter("remove")
        if fault is Misbehaviour.LYING:
            return
        if self.users.pop(spec.user, None):
            if fault is Misbehaviour.HALFWAY:
                raise _halfway("remove")
            self.emptied.append(spec.number)

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        if await self._enter("sweep") is Misbehaviour.LYING:
            return []
        gone = [user for user in self.users if user not in wanted]
        for user in gone:
            self.emptied.append(self.users.pop(user).number)
        return gone


class MemoryEdge(_Driver):
    """Routes by host; `switches` are all that ever were, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.routes: dict[str, Route] = {}
        self.switches: list[Route] = []
        self.requests: dict[str, float] = {}

    async def ensure(self, route: Route) -> None:
        fault = await self._enter("ensure")
        if fault is Misbehaviour.LYING:
            return
        if self.routes.get(route.host) != route:
            self.switches.append(route)
        self.routes[route.host] = route
        if fault is Misbehaviour.HALFWAY:
            raise _halfway("ensure")

    async def observe(self, host: str) -> Route | None:
        await self._enter("observe")
        return self.routes.get(host)

    async def remove(self, host: str) -> None:
        if await self._enter("remove") is not Misbehaviour.LYING:
            self.routes.pop(host, None)

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        if await self._enter("sweep") is Misbehaviour.LYING:
            return []
        gone = [host for host in self.routes if host not in wanted]
        for host in gone:
            del self.routes[host]
        return gone

    async def last_requests(self) -> dict[str, float]:
        await self._enter("last_requests")
        return dict(self.requests)
