"""Runs deployments as processes of this machine, each in its own walls and limits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import weakref
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from typing import cast

from previewdrop.config.home import Home
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
from previewdrop.drivers.process import child, logs, task
from previewdrop.drivers.process.cgroups import Group, find_cgroups
from previewdrop.drivers.process.commands import LOOPBACK, server_command
from previewdrop.drivers.process.folder import WEB, RunFolder, mark_for, walls_for
from previewdrop.drivers.process.ports import Ports, listening
from previewdrop.drivers.process.roster import Roster
from previewdrop.drivers.process.sandbox import find_sandbox
from previewdrop.drivers.process.tree import remove_tree

_BETWEEN_ROTATIONS = 1.0
_COMMAND = "command "
"""Begins the name of a command that runs beside the app; no process of a preview has a space."""

_logger = logging.getLogger(__name__)


class ProcessRuntime:
    """The `process` runtime.

    What runs is written down under `home.runs`, by the processes themselves as they start, so
    nothing is lost with the server: a new one finds everything there. Call it from one event loop.
    """

    def __init__(self, home: Home, sandbox: str = "auto", ceilings: Limits | None = None) -> None:
        """ServerError when `sandbox` is "require" and this machine has none."""
        self._home = home
        self._sandbox = find_sandbox(sandbox)
        self._cgroups = find_cgroups()
        self._ceilings = ceilings
        self._ports = Ports()
        self._roster = Roster(home, self._sandbox, self._cgroups)
        self._locks: weakref.WeakValueDictionary[int, asyncio.Lock] = weakref.WeakValueDictionary()
        self._rotation: asyncio.Task[None] | None = None
        self._commands = 0
        self._cleared: set[int] = set()

    @property
    def isolation(self) -> str:
        """One sentence on the sandbox, and one on limits where the machine has no cgroups."""
        if self._cgroups:
            return self._sandbox.sentence
        return f"{self._sandbox.sentence} Without cgroups its memory is bounded a process only."

    @property
    def isolated(self) -> bool:
        return self._sandbox.active

    def choose_port(self, configured: int | None, artifact: Handle) -> int:
        """A free port of the loopback interface, which all previews share."""
        reserved = {
            int(port)
            for path in self._home.runs.glob("*")
            if (port := RunFolder(path).read_facts().get("port"))
        }
        try:
            return self._ports.take(reserved)
        except OSError as error:
            raise Unavailable(f"No port is free for another preview: {error}.") from error

    def web_command(self, facts: AppFacts, port: int, artifact: Handle) -> Process:
        """uvicorn, or the repository's own server command, on the loopback interface."""
        return Process(WEB, server_command(facts, port))

    async def ensure(self, spec: RunSpec) -> Handle:
        """See `Runtime.ensure`."""
        async with self._lock(spec.deployment):
            folder, group = await self._prepare(spec)
            for process in (replace(spec.web, name=WEB), *spec.processes):
                if not self._roster.alive(spec.deployment, process.name):
                    self._start(spec, folder, group, process)
        self._rotate()
        return {
            "deployment": spec.deployment,
            "installation": spec.installation,
            "port": spec.port,
            "upstream": f"{LOOPBACK}:{spec.port}",
        }

    async def observe(self, handle: Handle) -> ObservedRun:
        """See `Runtime.observe`."""
        deployment = _deployment(handle)
        self._rotate()
        names = self._roster.names(deployment)
        if not names:
            return ObservedRun(ObservedProcess(WEB, ProcessState.MISSING))
        web, *others = (self._roster.observed(deployment, name) for name in names)
        return ObservedRun(web, tuple(others))

    async def listening(self, handle: Handle) -> Listening:
        """See `Runtime.listening`."""
        deployment = _deployment(handle)
        mark = mark_for(self._home.installation, deployment, WEB)
        pids = await asyncio.to_thread(child.marked, mark)
        return Listening(await asyncio.to_thread(listening, pids))

    async def wait(self, handle: Handle) -> ObservedProcess:
        """See `Runtime.wait`."""
        deployment = _deployment(handle)
        if self._roster.alive(deployment, WEB):
            await asyncio.shield(self._roster.ending(deployment, WEB))
        return (await self.observe(handle)).web

    async def run(self, spec: RunSpec, command: Process, log: LogLine, timeout: float) -> int:
        """See `Runtime.run`. 128 + n is the exit code of a command that signal n ended."""
        async with self._lock(spec.deployment):
            folder, group = await self._prepare(spec)
        self._commands += 1
        name = f"{_COMMAND}{os.getpid()}-{self._commands}"
        each = self._task(spec, folder, group, replace(command, name=name), bound=True)
        return await task.run(self._sandbox, each, log, timeout)

    async def logs(self, handle: Handle, *, follow: bool = False) -> AsyncIterator[tuple[str, str]]:
        """See `Runtime.logs`."""
        deployment = _deployment(handle)
        folder = self._roster.folder(deployment)
        files = [(name, folder.log(name)) for name in self._roster.names(deployment)]
        running = (lambda: self._roster.alive(deployment, WEB)) if follow else None
        async for name, line in logs.read(files, running):
            yield name, line

    async def stop(self, handle: Handle, grace: float) -> None:
        """See `Runtime.stop`. SIGTERM goes to every process, as systemd's does."""
        deployment = _deployment(handle)
        async with self._lock(deployment):
            await self._roster.terminate(deployment, grace)
            await self._roster.kill(deployment)

    async def remove(self, handle: Handle) -> None:
        """See `Runtime.remove`."""
        deployment = _deployment(handle)
        async with self._lock(deployment):
            await self._roster.kill(deployment)
            await self._roster.forget(deployment)
            await asyncio.to_thread(remove_tree, self._roster.folder(deployment).path)

    async def sweep(self, wanted: Collection[int]) -> list[str]:
        """See `Runtime.sweep`."""
        removed: list[str] = []
        for deployment in sorted(await self._roster.found()):
            if deployment not in wanted:
                full = self._roster.folder(deployment).read_facts().get("preview", "a lost preview")
                await self.remove({"deployment": deployment})
                removed.append(f"deployment {deployment} of {full}")
        return removed

    async def close(self) -> None:
        """Stops looking after logs. What runs goes on."""
        if self._rotation:
            self._rotation.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._rotation

    async def _prepare(self, spec: RunSpec) -> tuple[RunFolder, Group | None]:
        folder = self._roster.folder(spec.deployment)
        await asyncio.to_thread(folder.prepare, spec, self._sandbox)
        group = self._roster.group(spec.deployment)
        if group:
            try:
                group.create(self._limits(spec))
            except OSError as error:
                raise Unavailable(
                    f"The limits of a preview could not be set: {error.strerror}."
                ) from error
        if spec.deployment not in self._cleared:
            await self._clear(spec)
        folder.write_facts(
            {
                "preview": spec.names.full,
                "port": spec.port,
                "processes": [WEB, *(process.name for process in spec.processes)],
                "log_bytes": self._limits(spec).log_bytes,
                "memory": self._limits(spec).memory,
                "cgroups": [[name, str(path)] for name, path in group.folders] if group else [],
            }
        )
        return folder, group

    async def _clear(self, spec: RunSpec) -> None:
        """Kills commands that a former server left behind: they are to be run again."""
        self._cleared.add(spec.deployment)
        mark = mark_for(spec.installation, spec.deployment, _COMMAND)
        ours = mark_for(spec.installation, spec.deployment, f"{_COMMAND}{os.getpid()}-")
        marks = await asyncio.to_thread(child.marked, mark)
        left = [pid for pid, each in marks.items() if not each.startswith(ours)]
        child.kill(left)
        await asyncio.gather(*(child.gone(pid) for pid in left))

    def _start(
        self, spec: RunSpec, folder: RunFolder, group: Group | None, process: Process
    ) -> None:
        each = self._task(spec, folder, group, process, bound=False)
        output = folder.open_log(process.name, self._sandbox.owner(spec.deployment))
        try:
            pid = task.start(self._sandbox, each, output)
        finally:
            os.close(output)
        self._roster.started(spec.deployment, process.name, pid)

    def _task(
        self,
        spec: RunSpec,
        folder: RunFolder,
        group: Group | None,
        process: Process,
        *,
        bound: bool,
    ) -> task.Task:
        command, limits = process.command, self._limits(spec)
        return task.Task(
            command=("/bin/sh", "-c", command) if isinstance(command, str) else command,
            walls=walls_for(
                spec, folder, self._sandbox, process.name, memory=limits.memory, bound=bound
            ),
            record=folder.record(process.name),
            status=folder.status(process.name),
            limits=limits,
            entries=group.entries("run" if bound else process.name) if group else (),
            controllers=self._cgroups.controllers if self._cgroups else frozenset(),
        )

    def _limits(self, spec: RunSpec) -> Limits:
        return spec.limits.under(self._ceilings) if self._ceilings else spec.limits

    def _lock(self, deployment: int) -> asyncio.Lock:
        return self._locks.setdefault(deployment, asyncio.Lock())

    def _rotate(self) -> None:
        if self._rotation is None or self._rotation.done():
            self._rotation = asyncio.create_task(self._keep_rotating())

    async def _keep_rotating(self) -> None:
        while True:
            await asyncio.sleep(_BETWEEN_ROTATIONS)
            try:
                await asyncio.to_thread(self._rotate_all)
            except OSError as error:
                _logger.warning("logs were not rotated: %s", error)

    def _rotate_all(self) -> None:
        for path in self._home.runs.glob("*"):
            folder = RunFolder(path)
            if limit := folder.read_facts().get("log_bytes"):
                for log in folder.logs.glob("*.log"):
                    logs.rotate(log, limit)


def _deployment(handle: Handle) -> int:
    return int(cast("int", handle["deployment"]))
