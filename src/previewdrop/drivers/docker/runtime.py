"""Runs deployments as containers of a Docker Engine, each preview on a network of its own."""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import cast

from previewdrop.domain.app import AppFacts
from previewdrop.domain.errors import Unavailable
from previewdrop.domain.spec import Limits, Process, RunSpec
from previewdrop.drivers.base import (
    Handle,
    Listening,
    LogLine,
    ObservedProcess,
    ObservedRun,
    ProcessState,
)
from previewdrop.drivers.docker import commands, execution, labels
from previewdrop.drivers.docker.commands import Json, Place, Walls
from previewdrop.drivers.docker.containers import Containers, observed
from previewdrop.drivers.docker.engine import Engine
from previewdrop.drivers.docker.labels import WEB
from previewdrop.drivers.docker.logs import Logs
from previewdrop.drivers.docker.networks import Companions, Networks
from previewdrop.drivers.docker.subnets import COMPANIONS, Subnet
from previewdrop.drivers.listeners import parse_listeners
from previewdrop.drivers.together import all_of

DEFAULT_PORT = 3000
_DOCKER_DNS = "127.0.0.11:"
_BETWEEN_TRIES = 1.0
_SIGNALS = 128


@dataclass(frozen=True, slots=True)
class Settings:
    """What the runtime is set up with: see the settings `docker_subnets` and `oci_runtime`.

    With `require_walls` nothing is started while there is no firewall.
    """

    subnets: IPv4Network
    ceilings: Limits | None = None
    oci_runtime: str | None = None
    require_walls: bool = False


class DockerRuntime:
    """The `docker` runtime.

    Everything of a preview carries its labels, so nothing is lost with the server: a new one finds
    it on the Engine. `companions` are the services that each preview finds on its network.
    """

    def __init__(
        self, engine: Engine, installation: str, settings: Settings, companions: Companions
    ) -> None:
        self._engine = engine
        self._installation = installation
        self._settings = settings
        self._containers = Containers(engine, installation)
        self._executions = execution.Executions(engine, self._containers)
        self._logs = Logs(engine)
        self.networks = Networks(engine, installation, settings.subnets, companions)
        self.walls_missing: str | None = None
        self._recovered = False
        self._commands: Counter[str] = Counter()
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    @property
    def isolation(self) -> str:
        """One sentence on what previews reach."""
        if self.walls_missing is None:
            return (
                "Each preview runs unprivileged in containers on a network of its own, from which "
                "it reaches its database, its cache and the internet. Builds are on Docker's own "
                "network."
            )
        return (
            "Each preview runs unprivileged in containers on a network of its own, but without a "
            f"firewall it also reaches this machine and its local network. {self.walls_missing}"
        )

    @property
    def isolated(self) -> bool:
        return self.walls_missing is None

    def choose_port(self, configured: int | None, artifact: Handle) -> int:
        """The configured one, else the one that the image exposes: no two previews share any."""
        return configured or cast("int | None", artifact.get("port")) or DEFAULT_PORT

    def web_command(self, facts: AppFacts, port: int, artifact: Handle) -> Process:
        """Nothing: the image says how it is started."""
        return Process(WEB, ())

    async def ensure(self, spec: RunSpec) -> Handle:
        """See `Runtime.ensure`."""
        self._check_walls()
        async with self._lock(spec.names.full):
            subnet = await self.networks.ensure(spec.names)
            address = await self._address(spec, subnet)
            place = Place(self.networks.name(spec.names), subnet)
            web = self._ensure(spec, replace(spec.web, name=WEB), replace(place, address=address))
            others = (self._ensure(spec, process, place) for process in spec.processes)
            await all_of(web, *others)
        return {
            "runtime": "docker",
            "deployment": spec.deployment,
            "installation": spec.installation,
            "preview": spec.names.full,
            "hosts": {alias: subnet.companion(alias) for alias in COMPANIONS},
            "port": spec.port,
            "upstream": f"{address}:{spec.port}",
        }

    async def observe(self, handle: Handle) -> ObservedRun:
        """See `Runtime.observe`."""
        found = await self._containers.of(_deployment(handle))
        roles = [each["Labels"][labels.ROLE] for each in found]
        inspected = await asyncio.gather(*(self._containers.inspect(each["Id"]) for each in found))
        seen = {role: observed(role, one) for role, one in zip(roles, inspected, strict=True)}
        web = seen.pop(WEB, ObservedProcess(WEB, ProcessState.MISSING))
        return ObservedRun(web, tuple(one for r, one in seen.items() if r != labels.COMMAND))

    async def listening(self, handle: Handle) -> Listening:
        """See `Runtime.listening`: read from the container's network namespace."""
        web = await self._containers.inspect(self._web(handle))
        pid = web["State"]["Pid"] if web else 0
        return Listening(await asyncio.to_thread(_listening, pid) if pid else ())

    async def wait(self, handle: Handle) -> ObservedProcess:
        """See `Runtime.wait`. An Engine that goes away meanwhile is waited for as well.

        One that ends takes its containers along.
        """
        name, lost = self._web(handle), False
        while True:
            try:
                ended = observed(WEB, await self._containers.end(name))
                await self._engine.listens()
                return replace(ended, lost=lost)
            except Unavailable:
                lost = True
                await asyncio.sleep(_BETWEEN_TRIES)

    async def run(self, spec: RunSpec, command: Process, log: LogLine, timeout: float) -> int:
        """See `Runtime.run`. 128 + n is the exit code of a command that signal n ended."""
        code = await self._run(spec, command, log, timeout)
        if code > _SIGNALS:
            await self._engine.listens()  # else it was the Engine that ended the command
        return code

    async def _run(self, spec: RunSpec, command: Process, log: LogLine, timeout: float) -> int:
        name = self._containers.name(spec.deployment, WEB)
        web = observed(WEB, await self._containers.inspect(name))
        runs = web.state is ProcessState.RUNNING
        limit = self._limits(spec).log_bytes
        self._check_walls()
        if runs and self._executions.may_end_what_runs and not self._settings.oci_runtime:
            inside = self._executions.inside
            return await execution.logged(
                lambda output: inside(name, spec, command, output), log, limit, timeout
            )
        self._commands[spec.names.full] += 1
        try:
            async with self._lock(spec.names.full):
                subnet = await self.networks.ensure(spec.names)
            place = Place(self.networks.name(spec.names), subnet, beside=name if runs else None)
            walls, apart = self._walls(spec), self._executions.apart
            return await execution.logged(
                lambda output: apart(spec, command, place, walls, output), log, limit, timeout
            )
        finally:
            self._commands[spec.names.full] -= 1

    async def logs(self, handle: Handle, *, follow: bool = False) -> AsyncIterator[tuple[str, str]]:
        """See `Runtime.logs`."""
        found = await self._containers.of(_deployment(handle))
        names = {each["Labels"][labels.ROLE]: each["Id"] for each in found}
        names.pop(labels.COMMAND, None)
        async for line in self._logs.read(names, until=WEB if follow else None):
            yield line

    async def stop(self, handle: Handle, grace: float) -> None:
        """See `Runtime.stop`."""
        await self._containers.stop(await self._containers.of(_deployment(handle)), grace)

    async def remove(self, handle: Handle) -> None:
        """See `Runtime.remove`. The network goes with the preview's last container."""
        await self._engine.listens()  # one that is about to end leaves networks half removed
        found = await self._containers.of(_deployment(handle))
        await self._containers.remove([each["Id"] for each in found])
        await self._remove_empty_networks()

    async def sweep(self, wanted: Collection[int]) -> list[str]:
        """See `Runtime.sweep`."""
        if not self._recovered:
            self._recovered = True
            await self._executions.end_all(self._installation)
        found = await self._containers.all()
        lost = {n: _preview(each) for each in found if (n := _number(each)) not in wanted}
        commands_left = not any(self._commands.values())
        gone = [
            each["Id"]
            for each in found
            if _number(each) in lost
            or (commands_left and each["Labels"][labels.ROLE] == labels.COMMAND)
        ]
        await self._containers.remove(gone)
        await self._remove_empty_networks()
        return [f"deployment {number} of {preview}" for number, preview in sorted(lost.items())]

    async def runs_anything(self) -> bool:
        """Whether anything of any preview runs now."""
        return any(each["State"] == "running" for each in await self._containers.all())

    async def _remove_empty_networks(self) -> None:
        """Networks of previews that have no container. What is about to start holds the lock."""
        networks, containers = await asyncio.gather(
            self.networks.of_previews(), self._containers.all()
        )
        held = {_preview(each) for each in containers}
        for name, preview in networks.items():
            if preview in held or self._commands[preview]:
                continue
            async with self._lock(preview):
                if not (self._commands[preview] or await self._containers.of_preview(preview)):
                    await self.networks.remove(name)

    async def _ensure(self, spec: RunSpec, process: Process, place: Place) -> None:
        body = commands.container(spec, process, process.name, place, self._walls(spec))
        await self._containers.ensure(self._containers.name(spec.deployment, process.name), body)

    async def _address(self, spec: RunSpec, subnet: Subnet) -> str:
        """The web container's address: the one it has, or one that no other of the preview has."""
        others = await self._containers.of_preview(spec.names.full)
        held = {
            _number(each): each["Labels"][labels.ADDRESS]
            for each in others
            if each["Labels"][labels.ROLE] == WEB
        }
        address = held.get(spec.deployment) or subnet.web(held.values())
        if address is None:
            raise Unavailable(f"All addresses on the network of {spec.names.full} are taken.")
        return address

    def _check_walls(self) -> None:
        if self._settings.require_walls and self.walls_missing is not None:
            raise Unavailable(
                "Previews may not run without a firewall, and there is none now.",
                f"PREVIEWDROP_SANDBOX is require. {self.walls_missing}",
            )

    def _walls(self, spec: RunSpec) -> Walls:
        return Walls(self._limits(spec), self._settings.oci_runtime)

    def _limits(self, spec: RunSpec) -> Limits:
        most = self._settings.ceilings
        return spec.limits.under(most) if most else spec.limits

    def _web(self, handle: Handle) -> str:
        return self._containers.name(_deployment(handle), WEB)

    def _lock(self, preview: str) -> asyncio.Lock:
        return self._locks.setdefault(preview, asyncio.Lock())


def _listening(pid: int) -> tuple[str, ...]:
    """Addresses in the network namespace of a process, without Docker's own name server."""
    found: list[str] = []
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        try:
            found += [address for _, address in parse_listeners(path.read_text())]
        except OSError:
            return ()
    return tuple(dict.fromkeys(one for one in found if not one.startswith(_DOCKER_DNS)))


def _deployment(handle: Handle) -> int:
    return int(cast("int", handle["deployment"]))


def _number(container: Json) -> int:
    return int(container["Labels"][labels.DEPLOYMENT])


def _preview(container: Json) -> str:
    return str(container["Labels"][labels.PREVIEW])
