"""Processes found by the mark they were started with: wait for their end, kill them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path

MARK = "PREVIEWDROP_RUN"
"""The variable by which a process and its children are known to be of a deployment or build."""

_MARKED = f"{MARK}=".encode()
_BETWEEN_LOOKS = 0.1


def gone(pid: int) -> asyncio.Future[None]:
    """Done when the process runs no more, whosever child it is."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    if not hasattr(os, "pidfd_open"):
        return asyncio.ensure_future(_polled(pid))
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        done.set_result(None)
        return done

    def on_end() -> None:
        loop.remove_reader(fd)
        os.close(fd)
        if not done.done():
            done.set_result(None)

    loop.add_reader(fd, on_end)
    return done


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Sends a signal to each of the processes that are still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def marked(prefix: str) -> dict[int, str]:
    """Every process whose mark begins with `prefix`, with its mark. Empty where there is no /proc.

    This finds what cgroups would find where there are none; a process may hide from it by
    starting another with an environment of its own, unless a PID namespace holds it.
    """
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        mark = mark_of(int(folder.name))
        if mark is not None and mark.startswith(prefix):
            found[int(folder.name)] = mark
    return found


def mark_of(pid: int) -> str | None:
    """The mark a process was started with, if it runs and has one."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    for part in environment.split(b"\0"):
        if part.startswith(_MARKED):
            return os.fsdecode(part.partition(b"=")[2])
    return None


def answers(pid: int) -> bool:
    """Whether a process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _polled(pid: int) -> None:
    """Where there is no pidfd (macOS)."""
    while answers(pid) and not _ended(pid):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(_BETWEEN_LOOKS)


def _ended(pid: int) -> bool:
    """Whether a child of ours has ended; it is looked at without being waited for."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False
