"""Keeps one service running: adopts or starts it, waits until it answers, restarts it, stops it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from previewdrop.domain.errors import PreviewDropError, ServerError
from previewdrop.services.daemon import Command, Daemon, adopt, identify, pids_of, spawn

_ADOPT_TIMEOUT = 10.0
_FIRST_DELAY = 0.2
_LONGEST_DELAY = 30.0
_STEADY = 60.0
"""Seconds up after which the next restart is immediate again."""
_LOG_BYTES = 5 * 1024 * 1024
_LOG_LOOK = 30.0
_LOG_TAIL = 5

_log = logging.getLogger(__name__)


class ServiceState(StrEnum):
    """What a supervised service is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It ended, and is started again after a delay."""


class Program(Protocol):
    """What a supervisor needs to know about a service.

    `folder` is the working folder of its processes and nobody else's, `executable` the name of
    its binary: together they find a process whose pid file was lost. `fingerprint` changes when a
    running process would have to be restarted (version, configuration). `stop_signals` are sent
    in order, each with the seconds to wait; SIGKILL follows by itself.
    """

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def executable(self) -> str: ...
    @property
    def log(self) -> Path: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def stop_signals(self) -> Sequence[tuple[signal.Signals, float]]: ...
    @property
    def start_timeout(self) -> float: ...

    async def prepare(self) -> Command:
        """Writes what the process needs and clears what a crash left. No process runs now."""
        ...

    async def ready(self, pid: int) -> None:
        """Returns when the process answers; may wait for ever, the supervisor has the clock."""
        ...

    async def settle(self) -> None:
        """Makes sure of what must exist inside; after `ready`, for adopted processes too."""
        ...


class Supervisor:
    """Runs one Program. `state`, `error` (of the last end or failed start) and `restarts` tell."""

    def __init__(
        self, program: Program, pid_file: Path, *, adopt_timeout: float = _ADOPT_TIMEOUT
    ) -> None:
        self.program = program
        self.state = ServiceState.STOPPED
        self.error: str | None = None
        self.restarts = 0
        self.adopted = False
        self._pid_file = pid_file
        self._adopt_timeout = adopt_timeout
        self._daemon: Daemon | None = None
        self._watch: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()

    @property
    def pid(self) -> int | None:
        return self._daemon.pid if self._daemon else None

    async def start(self) -> None:
        """Adopts the running process or starts one, and returns when it answers.

        ServerError when it cannot be started. From then on it is started again whenever it ends.
        """
        await self._become(ServiceState.STARTING)
        try:
            daemon = await self._up()
        except BaseException:
            await self._become(ServiceState.STOPPED)
            raise
        await self._become(ServiceState.RUNNING)
        self._watch = asyncio.create_task(self._keep(daemon), name=f"supervise {self.program.name}")

    async def stop(self) -> None:
        """Stops the service in order; what does not go is killed."""
        await self.release()
        if daemon := self._daemon:
            await daemon.stop(self.program.stop_signals)
            self._forget()
        self._daemon = None
        await self._become(ServiceState.STOPPED)

    async def release(self) -> None:
        """Ends supervision and leaves the process running, for the next server to adopt."""
        if self._watch:
            self._watch.cancel()
            await asyncio.wait({self._watch})
            self._watch = None

    async def reached(self, state: ServiceState, *, restarts: int = 0) -> None:
        """Returns when the service is in `state` and was restarted at least that often."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.state is state and self.restarts >= restarts)

    async def _keep(self, daemon: Daemon) -> None:
        """Starts the service again whenever it ends; nothing but a cancellation ends this."""
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        while True:
            since = loop.time()
            try:
                code = await self._until_end(daemon)
            except Exception as error:  # noqa: BLE001 - logged, and supervision goes on
                _log.exception("%s cannot be watched: %r", self.program.name, error)
                await asyncio.sleep(_LOG_LOOK)
                continue
            delay = _FIRST_DELAY if loop.time() - since >= _STEADY else delay
            self.error = f"{self.program.name} ended{_how(code)}."
            _log.warning("%s It is started again.", self.error)
            while True:
                await self._become(ServiceState.WAITING)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY)
                await self._become(ServiceState.STARTING)
                try:
                    daemon = await self._up()
                    break
                except (PreviewDropError, OSError) as error:
                    self.error = str(error)
                    _log.warning("%s", self.error)
                except Exception as error:  # noqa: BLE001 - logged, and supervision goes on
                    self.error = f"{self.program.name} cannot be started: {error!r}."
                    _log.exception("%s", self.error)
            self.restarts += 1
            await self._become(ServiceState.RUNNING)

    async def _until_end(self, daemon: Daemon) -> int | None:
        end = asyncio.ensure_future(daemon.ended())
        try:
            while not (await asyncio.wait({end}, timeout=_LOG_LOOK))[0]:
                bound(self.program.log, _LOG_BYTES)
            return end.result()
        finally:
            end.cancel()

    async def _up(self) -> Daemon:
        program = self.program
        self.adopted = False
        if running := adopt(self._pid_file):
            if running.fingerprint == program.fingerprint and await self._answers(running):
                self._daemon, self.adopted = running, True
                return running
            await running.stop(program.stop_signals)
        await self._clear_survivors()
        self._forget()
        bound(program.log, _LOG_BYTES)
        command = await program.prepare()
        written = program.log.stat().st_size if program.log.exists() else 0
        try:
            daemon = self._daemon = spawn(command, program.log, program.fingerprint)
        except OSError as error:
            raise ServerError(
                f"{program.name} cannot be started: {error.strerror}: {error.filename}."
            ) from error
        try:
            daemon.write(self._pid_file)
            await self._await_ready(daemon, program.start_timeout, written)
        except BaseException:
            await daemon.stop(program.stop_signals)
            self._forget()
            raise
        return daemon

    async def _answers(self, daemon: Daemon) -> bool:
        try:
            await self._await_ready(daemon, self._adopt_timeout)
        except ServerError as error:
            _log.warning("%s It is replaced.", error.message)
            return False
        return True

    async def _await_ready(self, daemon: Daemon, timeout: float, written: int = 0) -> None:
        program = self.program
        end = asyncio.ensure_future(daemon.ended())
        up = asyncio.ensure_future(self._ready_and_settled(daemon))
        try:
            await asyncio.wait({end, up}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if up.done():
                return up.result()
            if end.done():
                tail = _tail(program.log, written)
                raise ServerError(
                    f"{program.name} ended while it started{_how(end.result())}.", tail
                )
            raise ServerError(
                f"{program.name} did not answer within {timeout:g} s.",
                f"See {program.log}.",
            )
        finally:
            for task in (end, up):
                task.cancel()
            await asyncio.gather(end, up, return_exceptions=True)

    async def _ready_and_settled(self, daemon: Daemon) -> None:
        await self.program.ready(daemon.pid)
        await self.program.settle()

    async def _clear_survivors(self) -> None:
        """Ends processes of the service that no pid file knows: a main process, or its orphans."""
        pids = pids_of(self.program.executable, self.program.folder)
        leaders = [pid for pid in pids if _parent(pid) not in pids]
        for pid, number in [(p, self.program.stop_signals) for p in leaders] + [
            (p, ()) for p in pids if p not in leaders
        ]:
            if identity := identify(pid):
                await Daemon(identity).stop(number)

    def _forget(self) -> None:
        self._pid_file.unlink(missing_ok=True)

    async def _become(self, state: ServiceState) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()


def bound(log: Path, size: int) -> None:
    """Moves a log that outgrew `size` bytes to `<name>.1`; the process goes on appending to it.

    Lines that are written in the moment between copy and cut are lost. Where the disk is full the
    log is cut all the same, to make room, and the copy is short.
    """
    with suppress(OSError):
        if log.stat().st_size > size:
            with suppress(OSError), log.open("rb") as old:
                old.seek(-size, os.SEEK_END)
                log.with_name(f"{log.name}.1").write_bytes(old.read())
            os.truncate(log, 0)


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as output:
        output.seek(start)
        lines = output.read(65536).decode(errors="replace").strip().splitlines()
    said = " / ".join(line.strip() for line in lines[-_LOG_TAIL:])
    return f"It said: {said}" if said else f"See {log}."


def _how(code: int | None) -> str:
    if code is None:
        return ""
    if code < 0:
        return f" by {signal.Signals(-code).name}"
    return f" with exit code {code}"


def _parent(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])
