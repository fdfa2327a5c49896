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

from previewdrop.drivers.process.reading import NotPlain, read_plain

MARK = "PREVIEWDROP_RUN"
"""The variable by which a process and its children are known to be of a deployment or build."""

_MARKED = f"{MARK}=".encode()
_FIRST_FREE_FD = 64
_BETWEEN_LOOKS = 0.1
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
            return _answers(self.pid)
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
    others, not even those that the server itself was started with. OSError when the program cannot
    be started.
    """
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


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _reap(pid: int) -> int | None:
    try:
        _, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status)


async def _polled(pid: int) -> None:
    """Where there is no pidfd (macOS)."""
    while _answers(pid) and not _ended(pid):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(_BETWEEN_LOOKS)


def _ended(pid: int) -> bool:
    """Whether a child of ours has ended; it is looked at without being waited for."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False
