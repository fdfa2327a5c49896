"""Processes of this machine, read from /proc; where there is none, no process is ever found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_STATE, _PARENT, _BEGAN = 0, 1, 19
"""Places in /proc/PID/stat after the name: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""


@dataclass(frozen=True, slots=True)
class Process:
    """A process; its number may be used again, together with its start it may not."""

    pid: int
    began: str


def with_variable(assignment: str) -> set[Process]:
    """The processes that were started with `NAME=value` in their environment."""
    wanted = assignment.encode()
    return _those(lambda folder: wanted in (folder / "environ").read_bytes().split(b"\0"))


def naming(text: str) -> set[Process]:
    """The processes whose command line mentions a text."""
    wanted = text.encode()
    return _those(lambda folder: wanted in (folder / "cmdline").read_bytes())


def family(pid: int) -> set[Process]:
    """The process and all its descendants."""
    parents = dict(_all())
    found = {process for process in parents if process.pid == pid}
    while True:
        pids = {process.pid for process in found}
        more = {process for process, parent in parents.items() if parent in pids} - found
        if not more:
            return found
        found |= more


def running(processes: set[Process]) -> set[Process]:
    """Those of them that still run."""
    return processes & {process for process, _ in _all()}


def _those(matches: Callable[[Path], bool]) -> set[Process]:
    found: set[Process] = set()
    for process, _ in _all():
        try:
            if matches(_PROC / str(process.pid)):
                found.add(process)
        except OSError:
            # It has ended since, or it belongs to another user and is none of ours.
            continue
    return found


def _all() -> list[tuple[Process, int]]:
    """Every process with its parent's number; one that has ended and waits for it is left out."""
    found: list[tuple[Process, int]] = []
    for folder in _PROC.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[_STATE] not in ("Z", "X"):
            found.append((Process(int(folder.name), fields[_BEGAN]), int(fields[_PARENT])))
    return found
