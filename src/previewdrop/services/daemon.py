"""A process that outlives the server: started in its own session, found again, watched, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_POLL = 0.2
"""Seconds between looks at a process where the kernel has no pidfd."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: argv, working folder and the whole environment."""

    argv: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that no later process can be mistaken for: its pid and when it started."""

    pid: int
    started: str


def identify(pid: int) -> Identity | None:
    """The process that has this pid now; None when there is none, or only its remains."""
    if not _PROC.joinpath("self/stat").exists():
        return _identify_by_ps(pid)
    try:
        stat = _PROC.joinpath(str(pid), "stat").read_text()
        boot = _PROC.joinpath("sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: state is field 3, starttime 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Identity(pid, f"{boot}:{fields[19]}")


def _identify_by_ps(pid: int) -> Identity | None:
    command = ("ps", "-o", "stat=,lstart=", "-p", str(pid))
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return Identity(pid, " ".join(shown[1:])) if shown and shown[0][0] != "Z" else None


def pids_of(executable: str, folder: Path) -> list[int]:
    """Processes of that executable whose working folder is `folder`; empty without /proc."""
    found: list[int] = []
    for entry in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink() != folder:
                continue
            # After an upgrade of the package the link ends with " (deleted)".
            if (entry / "exe").readlink().name.split()[0] == executable:
                found.append(int(entry.name))
    return sorted(found)


class Daemon:
    """A running process, our child or not. `fingerprint` says from what it was started."""

    def __init__(
        self,
        identity: Identity,
        fingerprint: str = "",
        child: subprocess.Popen[bytes] | None = None,
    ) -> None:
        self.identity = identity
        self.fingerprint = fingerprint
        self._child = child

    @property
    def pid(self) -> int:
        return self.identity.pid

    @property
    def alive(self) -> bool:
        return identify(self.pid) == self.identity

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to this very process; nothing happens when it has ended."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ended(self) -> int | None:
        """Waits for the end; the exit code (negative for a signal) if it was our child."""
        pidfd = _open_pidfd(self.pid)
        if pidfd is None:
            while self.alive:  # noqa: ASYNC110 - no event tells of a stranger's end
                await asyncio.sleep(_POLL)
        else:
            try:
                if self.alive:
                    await _readable(pidfd)
            finally:
                os.close(pidfd)
        return self._child.wait() if self._child else None

    async def stop(self, signals: Sequence[tuple[signal.Signals, float]]) -> None:
        """Sends each signal and waits so many seconds for the end; SIGKILL comes last."""
        for number, seconds in (*signals, (signal.SIGKILL, 10.0)):
            self.signal(number)
            try:
                async with asyncio.timeout(seconds):
                    await self.ended()
            except TimeoutError:
                continue
            return

    def write(self, path: Path) -> None:
        """Writes the pid file."""
        record = {
            "pid": self.pid,
            "started": self.identity.started,
            "fingerprint": self.fingerprint,
        }
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(record))
        fresh.replace(path)


def spawn(command: Command, log: Path, fingerprint: str = "") -> Daemon:
    """Starts a process in a session of its own, so that our Ctrl-C does not reach it.

    Output is appended to `log`. Raises OSError when the executable cannot be run.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command.argv,
            cwd=command.folder,
            env=dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    identity = identify(child.pid) or Identity(child.pid, "ended at once")
    return Daemon(identity, fingerprint, child)


def adopt(pid_file: Path) -> Daemon | None:
    """The process that a pid file speaks of, if it is that very process and still runs."""
    try:
        record = json.loads(pid_file.read_text())
        identity = Identity(int(record["pid"]), str(record["started"]))
        fingerprint = str(record["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Daemon(identity, fingerprint) if identify(identity.pid) == identity else None


def _open_pidfd(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)
