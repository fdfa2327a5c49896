"""Supervision of a service goes on whatever goes wrong around it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from previewdrop.config.home import Home
from previewdrop.config.settings import Settings
from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret
from previewdrop.services import supervisor as supervision
from previewdrop.services.daemon import Command, identify
from previewdrop.services.embedded import EmbeddedServices
from previewdrop.services.supervisor import ServiceState, Supervisor


class Sleeper:
    """A service that does nothing. What stands in `faults` is raised by `prepare`, one a call."""

    name = "Sleeper"
    executable = Path(sys.executable).resolve().name
    fingerprint = "1"
    stop_signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 5.0),)
    start_timeout = 10.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "sleeper.log"
        self.faults: list[Exception] = []

    async def prepare(self) -> Command:
        if self.faults:
            raise self.faults.pop(0)
        argv = (sys.executable, "-c", "import signal; signal.pause()")
        return Command(argv, self.folder, {})

    async def ready(self, pid: int) -> None:
        return None

    async def settle(self) -> None:
        return None


@pytest.fixture
async def sleeper(tmp_path: Path) -> AsyncGenerator[Supervisor]:
    supervisor = Supervisor(Sleeper(tmp_path), tmp_path / "pid.json")
    yield supervisor
    await supervisor.stop()


async def restarted(supervisor: Supervisor) -> None:
    assert supervisor.pid is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        await supervisor.reached(ServiceState.RUNNING, restarts=1)


async def test_what_nobody_expected_is_no_end_of_supervision(sleeper: Supervisor) -> None:
    await sleeper.start()
    program: Any = sleeper.program
    program.faults = [RuntimeError("odd"), OSError(errno.ENOSPC, "No space left on device")]
    await restarted(sleeper)
    assert program.faults == []


async def test_a_log_that_cannot_be_moved_is_no_end_of_supervision(
    sleeper: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(supervision, "_LOG_LOOK", 0.01)
    monkeypatch.setattr(supervision, "_LOG_BYTES", 10)
    monkeypatch.setattr(Path, "write_bytes", full)
    await sleeper.start()
    sleeper.program.log.write_text("more than ten bytes")
    async with asyncio.timeout(10):
        while sleeper.program.log.stat().st_size:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.01)
    await restarted(sleeper)


async def test_a_start_that_cannot_be_noted_leaves_no_process(
    sleeper: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        await sleeper.start()
    assert sleeper.pid is not None
    assert identify(sleeper.pid) is None


async def test_one_that_does_not_stop_does_not_keep_the_others(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = EmbeddedServices(Settings(home=home.path), home, Secret)
    stopped: list[str] = []

    async def stop(self: Supervisor) -> None:
        if not stopped:
            stopped.append(self.program.name)
            raise ServerError("It does not go.")
        await asyncio.sleep(0)
        stopped.append(self.program.name)

    monkeypatch.setattr(Supervisor, "stop", stop)
    await services.stop()
    assert sorted(stopped) == ["Caddy", "PostgreSQL", "Valkey"]
