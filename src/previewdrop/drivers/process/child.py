"""Processes of the operating system: start one, recognise it later, wait for it, kill it.

A process is recognised by its id and its start time, so that an id that was used again is not
mistaken for it. Where there is no /proc (macOS) the id alone has to do.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from previewdrop.drivers.marks import MARK, answers, gone, kill, mark_of, marked
from previewdrop.drivers.process import keyring
from previewdrop.drivers.process.reading import NotPlain, read_plain

__all__ = ("MARK", "gone", "kill", "mark_of", "marked")

_FIRST_FREE_FD = 64
_LONGEST_RECORD = 4096

_LAUNCH = """\
umask 077
{ read -r born < /proc/self/stat; } 2>/dev/null || born=$$
printf '%s\\n' "$born" > "$1" || exit 125
shift
while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done
shift
umask 022
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Born:
    """A process's id and start time, in clock ticks since boot; 0 where that is not known."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether this very process runs; one that ended and was not waited for does not."""
        if sys.platform != "linux":
            return answers(self.pid)
        found = _stat(self.pid)
        return found is not None and found[0] == self and found[1] not in "ZX"


def parse_stat(line: str) -> tuple[Born, str]:
    """A line of /proc/<pid>/stat (or a bare pid) and the state in it. ValueError if it is neither.

    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, fields 1, 3 and 22.
    """
    if "(" not in line:
        return Born(int(line), 0), "R"
    before, after = line.split("(", 1)[0], line.rpartition(")")[2].split()
    return Born(int(before), int(after[19])), after[0]


def read_record(path: Path) -> Born | None:
    """The process that wrote the record at `path` when it was launched."""
    try:
        return parse_stat(read_plain(path, _LONGEST_RECORD).decode().strip())[0]
    except (FileNotFoundError, NotADirectoryError, NotPlain, ValueError, IndexError):
        return None


def launched(record: Path, entries: Iterable[str], command: tuple[str, ...]) -> tuple[str, ...]:
    """An argv that writes the process's record, enters the cgroups and becomes `command`.

    The record stands before `command` runs at all, so whoever starts it may die at any moment.
    """
    return ("/bin/sh", "-c", _LAUNCH, "previewdrop", str(record), *entries, "--", *command)


def limited(
    command: tuple[str, ...],
    *,
    files: int,
    data: int | None = None,
    processes: int | None = None,
    folder: str | None = None,
) -> tuple[str, ...]:
    """An argv that bounds itself and becomes `command`. `data` is in bytes.

    A limit above the hard one is left at that. POSIX has no letter for processes: bash takes -u,
    dash and busybox -p, which bash takes for something that cannot be set.
    """
    steps = ["ulimit -c 0", f"ulimit -n {files}"]
    if data is not None:
        steps.append(f"ulimit -d {data // 1024}")
    if processes is not None:
        steps.append(f"{{ ulimit -u {processes} || ulimit -p {processes}; }}")
    script = "".join(f"{step} 2>/dev/null\n" for step in steps)
    if folder is not None:
        return ("/bin/sh", "-c", f'{script}cd "$0" && exec "$@"', folder, *command)
    return ("/bin/sh", "-c", f'{script}exec "$@"', "sh", *command)


def spawn(
    argv: tuple[str, ...], environment: Mapping[str, str], descriptors: Mapping[int, int]
) -> int:
    """Starts `argv` in a session of its own and returns its process id.

    `descriptors` maps each descriptor the process gets to one that is open here; it gets no
    others, not even those that the server itself was started with, and none of its keys. OSError
    when the program cannot be started.
    """
    keyring.leave()
    held = {
        wanted: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD)
        for wanted, fd in descriptors.items()
    }
    try:
        return os.posix_spawn(
            argv[0],
            argv,
            dict(environment),
            file_actions=[
                *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inherited() - {0, 1, 2}),
                *((os.POSIX_SPAWN_DUP2, fd, wanted) for wanted, fd in held.items()),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM),
        )
    finally:
        for fd in held.values():
            os.close(fd)


def ending(pid: int) -> asyncio.Future[int | None]:
    """Done when the process has ended, with its exit code, or None if it is not our child.

    The code is negative for a signal. A child is waited for even if nobody looks at the future,
    so there must be one for each child.
    """
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    def on_gone(_: asyncio.Future[None]) -> None:
        code = _reap(pid)
        if not ended.done():
            ended.set_result(code)

    gone(pid).add_done_callback(on_gone)
    return ended


def _inherited() -> set[int]:
    """Descriptors that a new process would get: a shell, tmux or systemd may have left some."""
    found: set[int] = set()
    for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"):  # noqa: PTH208
        with suppress(OSError):
            if os.get_inheritable(int(name)):
                found.add(int(name))
    return found


def _stat(pid: int) -> tuple[Born, str] | None:
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def _reap(pid: int) -> int | None:
    try:
        _, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status)
