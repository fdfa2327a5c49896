"""Bounds on the memory and processors that the RUN steps of a build take.

No Engine hands a bound of `POST /build` on to BuildKit: `memory`, `cpuquota` and `cgroupparent`
count for the old builder only (up to 29, moby's builder-next/builder.go). So each step is bounded
when it appears, in the control group that BuildKit made for it. Each is bounded by itself: stages
that build at the same moment may take the bound once each. What the Engine does itself, such as
COPY, pulling and exporting, is not bounded.
https://docs.kernel.org/admin-guide/cgroup-v2.html and …/cgroup-v1/
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
_PERIOD = 100_000
_SWAPS = Path("/proc/swaps")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What each RUN step may take: bytes, processors (1.5 is one and a half), processes."""

    memory: int | None = None
    cpus: float | None = None
    processes: int | None = None


def files(cgroups: Path, path: str, bounds: Bounds) -> Iterator[tuple[Path, str]]:
    """The files of a step's control groups and what to write into them, in that order."""
    inside = path.lstrip("/")
    quota = int(bounds.cpus * _PERIOD) if bounds.cpus else 0
    yield from (_of_v2 if _unified(cgroups) else _of_v1)(cgroups, inside, bounds, quota)


def _of_v2(cgroups: Path, path: str, bounds: Bounds, quota: int) -> Iterator[tuple[Path, str]]:
    group = cgroups / path
    if bounds.memory:
        yield group / "memory.max", str(bounds.memory)
        if len(_SWAPS.read_text().splitlines()) > 1:
            yield group / "memory.swap.max", "0"
    if quota:
        yield group / "cpu.max", f"{quota} {_PERIOD}"
    if bounds.processes:
        yield group / "pids.max", str(bounds.processes)


def _of_v1(cgroups: Path, path: str, bounds: Bounds, quota: int) -> Iterator[tuple[Path, str]]:
    if bounds.memory:
        group = cgroups / "memory" / path
        yield group / "memory.limit_in_bytes", str(bounds.memory)
        if (cgroups / "memory" / "memory.memsw.limit_in_bytes").exists():
            yield group / "memory.memsw.limit_in_bytes", str(bounds.memory)
    if quota:
        group = cgroups / "cpu" / path
        yield group / "cpu.cfs_period_us", str(_PERIOD)
        yield group / "cpu.cfs_quota_us", str(quota)
    if bounds.processes:
        yield cgroups / "pids" / path / "pids.max", str(bounds.processes)


def killed_for_memory(cgroups: Path, path: str) -> bool:
    """Whether the kernel killed a process of this control group because memory ran out."""
    name = "memory.events" if _unified(cgroups) else "memory.oom_control"
    try:
        text = (_memory(cgroups, path) / name).read_text()
    except OSError:
        return False
    return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in text.splitlines())


def kill(cgroups: Path, path: str) -> None:
    """Ends every process of a control group that is there."""
    try:
        listed = (_memory(cgroups, path) / "cgroup.procs").read_text()
    except OSError:
        return
    for process in map(int, listed.split()):
        if process:  # Zero is one of another PID namespace.
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _memory(cgroups: Path, path: str) -> Path:
    return (cgroups if _unified(cgroups) else cgroups / "memory") / path.lstrip("/")


def _unified(cgroups: Path) -> bool:
    return (cgroups / "cgroup.controllers").exists()
