"""One process in its walls and limits: started, or run to its end with its output as lines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from previewdrop.domain.errors import Unavailable
from previewdrop.domain.spec import Limits
from previewdrop.drivers.base import LogLine
from previewdrop.drivers.output import Lines
from previewdrop.drivers.process import child
from previewdrop.drivers.process.reading import NotPlain, read_plain
from previewdrop.drivers.process.sandbox import Sandbox
from previewdrop.drivers.process.walls import ARGUMENTS_FD, STATUS_FD, Mode, Walls

_DATA_HEADROOM = 512 * 1024 * 1024
"""Bytes above the memory limit where only RLIMIT_DATA guards it: each thread's stack counts with
8 MiB, used or not, and a server has dozens of threads."""

_COUNTS_BY_NAMESPACE = (5, 14)
"""The kernel from which RLIMIT_NPROC counts per user namespace, not all of the user's processes."""

_CHUNK = 65536
_LONGEST_STATUS = 65536
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
_HIDDEN_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Task:
    """A command and everything it is held by.

    `record` is where the process is written down as it starts, `status` where bubblewrap writes
    what became of it. `entries` are the cgroup files it writes itself into, `controllers` what
    those groups already bound.
    """

    command: tuple[str, ...]
    walls: Walls
    record: Path
    status: Path
    limits: Limits
    entries: tuple[str, ...] = ()
    controllers: frozenset[str] = frozenset()

    @property
    def mark(self) -> str:
        return self.walls.environment[child.MARK]


def start(sandbox: Sandbox, task: Task, output: int) -> int:
    """Starts the task with `output` as its stdout and stderr, and returns its process id.

    Unavailable when the system cannot start it.
    """
    command = child.limited(
        task.command,
        files=task.limits.files,
        data=None if "memory" in task.controllers else task.limits.memory + _DATA_HEADROOM,
        processes=task.limits.processes if _counts_processes(sandbox) else None,
        folder=None if sandbox.active else task.walls.folder,
    )
    environment = task.walls.environment
    with _opened(sandbox, task) as descriptors:
        if sandbox.active:
            # What stands outside the walls must not see the preview's variables (LD_PRELOAD).
            environment = {"PATH": "/usr/bin:/bin", child.MARK: task.mark}
            command = sandbox.argv(task.walls, command)
        argv = child.launched(task.record, task.entries, command)
        try:
            return child.spawn(argv, environment, {**descriptors, 1: output, 2: output})
        except OSError as error:
            raise Unavailable(f"A process could not be started: {error.strerror}.") from error


async def run(sandbox: Sandbox, task: Task, log: LogLine, timeout: float) -> int:
    """Runs the task to its end; returns its exit code, 128 + n for signal n.

    Everything that the task started is gone when this returns or raises. TimeoutError when it
    took longer than `timeout` seconds.
    """
    lines = Lines(log, task.limits.log_bytes)
    read, write = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
    os.set_blocking(read, False)
    pipe = _Pipe(read, lines)
    try:
        pid = start(sandbox, task, write)
    finally:
        os.close(write)
    ended = child.ending(pid)
    try:
        async with asyncio.timeout(timeout):
            code = await asyncio.shield(ended)
    finally:
        await kill(sandbox, task, pid, ended)
        await pipe.drained()
        lines.close()
    status = read_status(task.status)
    task.record.unlink(missing_ok=True)
    task.status.unlink(missing_ok=True)
    if sandbox.active and "child-pid" not in status:
        raise Unavailable("The sandbox could not be started.", "The log says why.")
    code = status.get("exit-code", code)
    if code is None:
        raise Unavailable("A process ended and nobody knows how.")
    return code if code >= 0 else 128 - code


async def kill(sandbox: Sandbox, task: Task, pid: int, ended: asyncio.Future[int | None]) -> None:
    """Kills what is left of the task and returns when it is gone."""
    init = None
    if sandbox.active:
        if not ended.done():
            child.kill([pid])
        init = read_status(task.status).get("child-pid")
        if init is not None and child.mark_of(init) == task.mark:
            child.kill([init])
            await child.gone(init)
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    if init is None:
        # No PID namespace, or one that is half made: bubblewrap's child waits for its parent.
        while left := child.marked(task.mark).keys() - {pid}:
            child.kill(left)
            await asyncio.gather(*(child.gone(each) for each in left))
    await asyncio.shield(ended)


def read_status(path: Path) -> dict[str, int]:
    """What bubblewrap wrote of the process: `child-pid`, and `exit-code` when it has ended.

    What is no file of its own says nothing.
    """
    status: dict[str, int] = {}
    try:
        text = read_plain(path, _LONGEST_STATUS)
    except (FileNotFoundError, NotADirectoryError, NotPlain):
        return status
    for line in text.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            break
        if isinstance(told, dict):
            facts = cast("dict[str, object]", told)
            status.update({name: n for name, n in facts.items() if isinstance(n, int)})
    return status


@contextmanager
def _opened(sandbox: Sandbox, task: Task) -> Generator[dict[int, int]]:
    opened = {0: os.open(os.devnull, os.O_RDONLY)}
    try:
        if sandbox.active:
            opened[STATUS_FD] = os.open(task.status, _FRESH, 0o600)
            opened[ARGUMENTS_FD] = os.memfd_create("arguments")
            os.write(opened[ARGUMENTS_FD], sandbox.arguments(task.walls))
            os.lseek(opened[ARGUMENTS_FD], 0, os.SEEK_SET)
        yield opened
    finally:
        for descriptor in opened.values():
            os.close(descriptor)


def _counts_processes(sandbox: Sandbox) -> bool:
    """RLIMIT_NPROC counts the user's processes: it fits where the user is the preview's own."""
    if sandbox.mode is Mode.ACCOUNT:
        return True
    version = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    return sandbox.mode is Mode.NAMESPACE and version >= _COUNTS_BY_NAMESPACE


class _Pipe:
    """Feeds a pipe's output to `lines` until nobody can write to it any more."""

    def __init__(self, descriptor: int, lines: Lines) -> None:
        self._descriptor = descriptor
        self._lines = lines
        self._end = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._on_readable)

    async def drained(self) -> None:
        """Without a PID namespace a process may have hidden, and would hold the pipe for ever."""
        try:
            await asyncio.wait_for(self._end.wait(), _HIDDEN_GRACE)
        except TimeoutError:
            self._close()

    def _on_readable(self) -> None:
        if data := os.read(self._descriptor, _CHUNK):
            self._lines.feed(data)
        else:
            self._close()

    def _close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._end.set()
