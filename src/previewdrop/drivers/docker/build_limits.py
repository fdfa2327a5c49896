"""Bounds on the memory and processors that the RUN steps of one build take.

No Engine hands a bound of `POST /build` on to BuildKit: `memory`, `cpuquota` and `cgroupparent`
count for the old builder only (up to 29, moby's builder-next/builder.go). So each step is bounded
when it appears, in the control group that BuildKit made for it. It is known as ours by a name in
its /etc/hosts: a build may bring such names, they alone change no layer's cache when only their
address differs, and the step itself cannot write them.

This takes a control plane that is root on the Engine's own machine. Each step is bounded by itself:
stages that build at the same moment may take the bound once each. What the Engine does itself,
such as COPY, pulling and exporting, is not bounded.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from previewdrop.drivers.docker.engine import Engine

CGROUPS = Path("/sys/fs/cgroup")
_NAME = "previewdrop-build"
_DISCARD = int(IPv6Address("100::"))
"""Addresses that lead nowhere, RFC 6666."""
_EVERY = 0.02
_PERIOD = 100_000
_folders: WeakKeyDictionary[Engine, Path] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What each RUN step may take: bytes, processors (1.5 is one and a half), processes."""

    memory: int | None = None
    cpus: float | None = None
    processes: int | None = None


def mark() -> IPv6Address:
    """An address that no other build has."""
    return IPv6Address(_DISCARD | secrets.randbits(64))


def extra_host(address: IPv6Address) -> str:
    """The value of `extrahosts` by which the steps of a build are found."""
    return f"{_NAME}:{address}"


async def steps_folder(engine: Engine) -> Path | None:
    """Where the Engine keeps the steps that run now; None where this process cannot see them."""
    if engine not in _folders:  # Engine 20.10 takes 0.2 s to say this.
        told = await engine.get("/info")
        _folders[engine] = Path(told.get("DockerRootDir", "")) / "buildkit" / "executor"
    folder = _folders[engine]
    return folder if os.geteuid() == 0 and folder.is_dir() else None


@asynccontextmanager
async def bounded(folder: Path, address: IPv6Address, bounds: Bounds) -> AsyncGenerator[Watch]:
    """Bounds every step with this mark that starts meanwhile."""
    watch = Watch(folder, address, bounds)

    async def look() -> None:
        while True:
            watch.look()
            await asyncio.sleep(_EVERY)

    looking = asyncio.create_task(look(), name="bounds of a build")
    try:
        yield watch
    finally:
        looking.cancel()
        await asyncio.wait({looking})


@dataclass(slots=True)
class Watch:
    """Looks for steps. `killed` tells whether the kernel killed one of their processes for memory,
    `bound` how many steps were bounded."""

    folder: Path
    address: IPv6Address
    bounds: Bounds
    cgroups: Path = CGROUPS
    killed: bool = False
    bound: int = 0
    _ours: dict[str, str] = field(default_factory=dict[str, str])
    _others: set[str] = field(default_factory=set[str])
    _waiting: dict[str, dict[Path, str]] = field(default_factory=dict[str, dict[Path, str]])

    def look(self) -> None:
        """Bounds the steps that appeared since; reads what became of the others."""
        there = {entry.name for entry in os.scandir(self.folder) if entry.is_dir()}
        for name in there - self._ours.keys() - self._others:
            self._meet(name)
        for name in list(self._ours):
            if name in there:
                self._bind(name)
                self.killed = self.killed or killed_for_memory(self.cgroups, self._ours[name])
            else:
                del self._ours[name], self._waiting[name]
        self._others &= there

    def _meet(self, name: str) -> None:
        try:
            spec = json.loads((self.folder / name / "config.json").read_bytes())
            marked = _marked(_hosts(spec), self.address)
        except (OSError, ValueError):
            return  # It is just being written; the next look reads it.
        if marked and (path := spec["linux"].get("cgroupsPath")):
            self._ours[name] = path
            self._waiting[name] = dict(files(self.cgroups, path, self.bounds))
        else:
            self._others.add(name)

    def _bind(self, name: str) -> None:
        waiting = self._waiting[name]
        if not waiting:
            return
        for file, value in list(waiting.items()):
            try:
                file.write_text(value)
            except OSError:
                continue  # Not there yet, or more is in use than it may: the next look writes it.
            del waiting[file]
        if not waiting:
            self.bound += 1


def files(cgroups: Path, path: str, bounds: Bounds) -> Iterator[tuple[Path, str]]:
    """The files of a step's control groups and what to write into them.

    https://docs.kernel.org/admin-guide/cgroup-v2.html, …/cgroup-v1/
    """
    inside = path.lstrip("/")
    quota = int(bounds.cpus * _PERIOD) if bounds.cpus else 0
    if _unified(cgroups):
        group = cgroups / inside
        if bounds.memory:
            yield group / "memory.max", str(bounds.memory)
            if (cgroups / "memory.swap.max").exists() or _swaps():
                yield group / "memory.swap.max", "0"
        if quota:
            yield group / "cpu.max", f"{quota} {_PERIOD}"
        if bounds.processes:
            yield group / "pids.max", str(bounds.processes)
        return
    if bounds.memory:
        group = cgroups / "memory" / inside
        yield group / "memory.limit_in_bytes", str(bounds.memory)
        if (cgroups / "memory" / "memory.memsw.limit_in_bytes").exists():
            yield group / "memory.memsw.limit_in_bytes", str(bounds.memory)
    if quota:
        group = cgroups / "cpu" / inside
        yield group / "cpu.cfs_period_us", str(_PERIOD)
        yield group / "cpu.cfs_quota_us", str(quota)
    if bounds.processes:
        yield cgroups / "pids" / inside / "pids.max", str(bounds.processes)


def killed_for_memory(cgroups: Path, path: str) -> bool:
    """Whether the kernel killed a process of this control group because memory ran out."""
    inside = path.lstrip("/")
    file = (
        cgroups / inside / "memory.events"
        if _unified(cgroups)
        else cgroups / "memory" / inside / "memory.oom_control"
    )
    try:
        text = file.read_text()
    except OSError:
        return False
    return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in text.splitlines())


def _unified(cgroups: Path) -> bool:
    return (cgroups / "cgroup.controllers").exists()


def _swaps() -> bool:
    return len(Path("/proc/swaps").read_text().splitlines()) > 1


def _hosts(spec: dict[str, Any]) -> str:
    sources = (m["source"] for m in spec["mounts"] if m["destination"] == "/etc/hosts")
    return Path(next(sources)).read_text()


def _marked(hosts: str, address: IPv6Address) -> bool:
    for line in hosts.splitlines():
        words = line.split()
        if words[1:] == [_NAME]:
            return IPv6Address(words[0]) == address
    return False
