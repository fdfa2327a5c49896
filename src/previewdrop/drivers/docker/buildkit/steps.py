"""The RUN steps of one build, as the Engine's machine sees them: bounded, and ended for sure.

A step is known as ours by a name in its /etc/hosts: a build may bring such names, layers stay
cached when only their address differs, and the step itself cannot write them. Seeing steps takes a
control plane that is root on the Engine's own machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from previewdrop.drivers.docker.buildkit import limits as build_limits
from previewdrop.drivers.docker.buildkit.limits import CGROUPS, Bounds
from previewdrop.drivers.docker.engine import Engine

_NAME = "previewdrop-build"
_DISCARD = int(IPv6Address("100::"))
"""Addresses that lead nowhere, RFC 6666."""
_EVERY = 0.02
_folders: WeakKeyDictionary[Engine, Path] = WeakKeyDictionary()


def mark() -> IPv6Address:
    """An address that no other build has."""
    return IPv6Address(_DISCARD | secrets.randbits(64))


def extra_host(address: IPv6Address) -> str:
    """The value of `extrahosts` by which the steps of a build are found."""
    return f"{_NAME}:{address}"


async def folder_of(engine: Engine) -> Path | None:
    """Where the Engine keeps the steps that run now; None where this process cannot see them."""
    if engine not in _folders:  # Engine 20.10 takes 0.2 s to say this.
        told = await engine.get("/info")
        _folders[engine] = Path(told.get("DockerRootDir", "")) / "buildkit" / "executor"
    folder = _folders[engine]
    return folder if os.geteuid() == 0 and folder.is_dir() else None


@asynccontextmanager
async def watched(folder: Path, address: IPv6Address, bounds: Bounds) -> AsyncGenerator[Watch]:
    """Bounds every step with this mark that starts meanwhile."""
    watch = Watch(folder, address, bounds)

    async def look() -> None:
        while True:
            watch.look()
            await asyncio.sleep(_EVERY)

    looking = asyncio.create_task(look(), name="steps of a build")
    try:
        yield watch
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


@dataclass(slots=True)
class _Step:
    """A step of ours: its control group, and what is still to be written into it."""

    group: str
    waiting: dict[Path, str]


@dataclass(slots=True)
class Watch:
    """Looks for steps. `bound` counts those that were bounded; `killed` tells whether the kernel
    killed a process of one of them for memory."""

    folder: Path
    address: IPv6Address
    bounds: Bounds
    cgroups: Path = CGROUPS
    bound: int = 0
    killed: bool = False
    _ours: dict[str, _Step] = field(default_factory=dict[str, _Step])
    _others: set[str] = field(default_factory=set[str])

    def look(self) -> None:
        """Bounds the steps that appeared since the last look, and reads how the others fare."""
        there = self._there()
        for name in there - self._ours.keys() - self._others:
            self._meet(name)
        self._others &= there
        for name in self._ours.keys() - there:
            del self._ours[name]
        for step in self._ours.values():
            self._bind(step)
            self.killed = self.killed or build_limits.killed_for_memory(self.cgroups, step.group)

    def kill(self) -> None:
        """Ends every process of the steps that are there."""
        self.look()
        for step in self._ours.values():
            build_limits.kill(self.cgroups, step.group)

    def _there(self) -> set[str]:
        try:
            with os.scandir(self.folder) as entries:
                return {entry.name for entry in entries if entry.is_dir()}
        except FileNotFoundError:
            return set()

    def _meet(self, name: str) -> None:
        try:
            spec = json.loads((self.folder / name / "config.json").read_bytes())
            ours = _marked(_hosts(spec), self.address)
            group = spec["linux"].get("cgroupsPath")
        except (OSError, ValueError):
            return  # It is being written, or just gone; the next look tells.
        if ours and group:
            waiting = dict(build_limits.files(self.cgroups, group, self.bounds))
            self._ours[name] = _Step(group, waiting)
        else:
            self._others.add(name)

    def _bind(self, step: _Step) -> None:
        if not step.waiting:
            return
        for file, value in list(step.waiting.items()):
            try:
                file.write_text(value)
            except OSError:
                return  # Not there yet, or more is in use than may be; the next look writes it.
            del step.waiting[file]
        self.bound += 1


def _hosts(spec: dict[str, Any]) -> str:
    mounted = [m["source"] for m in spec["mounts"] if m["destination"] == "/etc/hosts"]
    return Path(mounted[0]).read_text() if mounted else ""


def _marked(hosts: str, address: IPv6Address) -> bool:
    named = (line.split() for line in hosts.splitlines())
    return any(words[1:] == [_NAME] and IPv6Address(words[0]) == address for words in named)
