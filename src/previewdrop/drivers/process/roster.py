"""Who runs: the processes of every deployment, found by what they wrote down as they started."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import cast

from previewdrop.config.home import Home
from previewdrop.domain.errors import Unavailable
from previewdrop.domain.spec import MIB
from previewdrop.drivers.base import ObservedProcess, ProcessState
from previewdrop.drivers.process import child, task
from previewdrop.drivers.process.cgroups import Cgroups, Group, removed
from previewdrop.drivers.process.folder import RunFolder, mark_for
from previewdrop.drivers.process.sandbox import Sandbox

_UNKILLABLE = 30.0
"""Seconds after which a process that SIGKILL did not end is reported: it hangs in the kernel."""

_HIGHEST_SIGNAL = 64


class Roster:
    """The processes of this installation's deployments, by deployment and name."""

    def __init__(self, home: Home, sandbox: Sandbox, cgroups: Cgroups | None) -> None:
        self._home = home
        self._sandbox = sandbox
        self._cgroups = cgroups
        self._endings: dict[tuple[int, str], asyncio.Future[int | None]] = {}

    def started(self, deployment: int, name: str, pid: int) -> None:
        """A child of ours, to be waited for from now on."""
        self._endings[deployment, name] = child.ending(pid)

    async def terminate(self, deployment: int, grace: float) -> None:
        """SIGTERM to every process, as systemd does, and up to `grace` seconds for their end."""
        names = [name for name in self.names(deployment) if self.alive(deployment, name)]
        endings = [self.ending(deployment, name) for name in names]
        if endings and grace > 0:
            pids = await self.pids(deployment)
            child.kill(pids - self._wardens(deployment), signal.SIGTERM)
            await asyncio.wait(endings, timeout=grace)

    async def forget(self, deployment: int) -> None:
        """Removes the cgroup of a deployment whose processes are gone."""
        if group := self.group(deployment):
            await removed(group)
        for key in [key for key in self._endings if key[0] == deployment]:
            del self._endings[key]

    async def found(self) -> set[int]:
        """Every deployment of which there is a folder, a process or a cgroup."""
        prefix = f"{self._home.installation}-"
        names = {path.name for path in self._home.runs.glob("*")}
        marks = await asyncio.to_thread(child.marked, prefix)
        names.update(mark.removeprefix(prefix).partition(".")[0] for mark in marks.values())
        if self._cgroups:
            groups = self._cgroups.names(f"previewdrop-{prefix}")
            names.update(name.removeprefix(f"previewdrop-{prefix}") for name in groups)
        return {int(name) for name in names if name.isdecimal()}

    def observed(self, deployment: int, name: str) -> ObservedProcess:
        folder, group = self.folder(deployment), self.group(deployment)
        if self.alive(deployment, name):
            memory = group.memory(name) if group else None
            return ObservedProcess(name, ProcessState.RUNNING, memory=memory)
        if not folder.record(name).exists():
            return ObservedProcess(name, ProcessState.MISSING)
        code = self._exit_code(deployment, name)
        reason = None
        if group and code == -signal.SIGKILL and group.killed_for_memory(name):
            limit = folder.read_facts().get("memory", 0)
            reason = f"killed for memory, limit {limit // MIB} MiB"
        return ObservedProcess(name, ProcessState.EXITED, code, reason)

    def alive(self, deployment: int, name: str) -> bool:
        ending = self._endings.get((deployment, name))
        if ending is not None:
            return not ending.done()
        born = child.read_record(self.folder(deployment).record(name))
        return born is not None and born.alive

    def ending(self, deployment: int, name: str) -> asyncio.Future[int | None]:
        """When the process ends. One that a former server started is watched from now on."""
        ending = self._endings.get((deployment, name))
        if ending is None:
            born = child.read_record(self.folder(deployment).record(name))
            if born is None:
                ending = asyncio.get_running_loop().create_future()
                ending.set_result(None)
                return ending
            ending = child.ending(born.pid)
            if not born.alive and not ending.done():
                ending.set_result(None)
            self._endings[deployment, name] = ending
        return ending

    async def pids(self, deployment: int) -> set[int]:
        """Every process of the deployment, by its cgroup or, without one, by its mark."""
        group = self.group(deployment)
        if group and (pids := group.pids()):
            return pids
        mark = mark_for(self._home.installation, deployment, "")
        return set(await asyncio.to_thread(child.marked, mark))

    async def kill(self, deployment: int) -> None:
        """Kills everything of the deployment and returns when it is gone."""
        group = self.group(deployment)
        try:
            async with asyncio.timeout(_UNKILLABLE):
                while left := await self._left(deployment):
                    if not (group and group.kill()):
                        child.kill(left)
                    await asyncio.gather(*(child.gone(pid) for pid in left))
        except TimeoutError as error:
            raise Unavailable(f"A process of deployment {deployment} cannot be killed.") from error

    def names(self, deployment: int) -> list[str]:
        return cast("list[str]", self.folder(deployment).read_facts().get("processes", []))

    def group(self, deployment: int) -> Group | None:
        """The group that the run was put into, or the one it would be put into now."""
        written = self.folder(deployment).read_facts().get("cgroups", [])
        folders = tuple((name, Path(path)) for name, path in written)
        if folders and all(path.parent.exists() for _, path in folders):
            return Group(folders)
        name = f"previewdrop-{self._home.installation}-{deployment}"
        return self._cgroups.group(name) if self._cgroups else None

    def folder(self, deployment: int) -> RunFolder:
        return RunFolder(self._home.runs / str(deployment))

    def _exit_code(self, deployment: int, name: str) -> int | None:
        """bubblewrap's account of it, which outlives the server, or what we saw ourselves."""
        code = task.read_status(self.folder(deployment).status(name)).get("exit-code")
        if code is not None:
            return 128 - code if 128 < code <= 128 + _HIGHEST_SIGNAL else code
        ending = self._endings.get((deployment, name))
        return ending.result() if ending and ending.done() else None

    def _wardens(self, deployment: int) -> set[int]:
        """bubblewrap's own processes: they would die of SIGTERM and pass nothing on."""
        if not self._sandbox.active:
            return set()
        found: set[int] = set()
        for path in self.folder(deployment).path.glob("state/*.pid"):
            if born := child.read_record(path):
                found.add(born.pid)
            found.add(task.read_status(path.with_suffix(".status")).get("child-pid", 0))
        return found

    async def _left(self, deployment: int) -> set[int]:
        names = [name for name in self.names(deployment) if self.alive(deployment, name)]
        records = [child.read_record(self.folder(deployment).record(name)) for name in names]
        return await self.pids(deployment) | {born.pid for born in records if born}
