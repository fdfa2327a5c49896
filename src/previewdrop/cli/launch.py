"""Starting a server in the background, and waiting until one is there or gone."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from previewdrop.cli.address import find_address, recorded_pid
from previewdrop.cli.client import Api
from previewdrop.config.home import Home
from previewdrop.domain.errors import BadInput, PreviewDropError, ServerError

SERVE = (sys.executable, "-P", "-m", "previewdrop", "serve")

_PAUSE = 0.1
_STARTS_WITHIN = 180.0
_LOG_BYTES = 10 * 1024 * 1024
_LAST_LINES = 12


def ensure_server(
    api: Api,
    home: Home,
    tell: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> bool:
    """Makes sure that a server answers; True if it was started for that.

    Only a server of the data folder can be started: one that `PREVIEWDROP_URL` names must be
    there. Of several callers at the same moment one starts it and the others wait. `environment`
    goes before this process's own in a new one. ServerError with the last lines of its log if it
    dies.
    """
    address = find_address(home)
    if running(api) or (address is not None and not address.local):
        return False
    try:
        home.create()
        home.logs.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"The data folder {home.path} cannot be made: {error.strerror}.",
            "Set PREVIEWDROP_HOME to a folder of yours.",
        ) from error
    with _alone(home.path / "start.lock", tell):
        api.rediscover()
        if running(api):
            return False
        _start(api, home, tell, environment or {})
    return True


def running(api: Api) -> bool:
    """Whether the server that the data folder names answers, and takes its token.

    A stale record can lead to another data folder's server; that one refuses the token.
    """
    try:
        api.get("/api/v1/server")
    except PreviewDropError:
        api.rediscover()
        return False
    return True


def wait_until_gone(
    api: Api, home: Home, pid: int | None, *, pause: Callable[[float], None] = time.sleep
) -> None:
    """Waits until nothing answers any more and the process `pid` has ended.

    Another server that starts in the meantime ends the wait as well.
    """
    while True:
        if pid is not None and recorded_pid(home) not in (None, pid):
            return
        if not (pid is not None and alive(pid)) and not _answers(api):
            return
        pause(_PAUSE)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not collected yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state != "Z"


def last_lines(log: Path, since: int, count: int = _LAST_LINES) -> list[str]:
    """The last lines of a log file, of those written after byte `since`."""
    try:
        with log.open("rb") as file:
            file.seek(since)
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-count:]


def _start(
    api: Api, home: Home, tell: Callable[[str], None], environment: Mapping[str, str]
) -> None:
    log = home.logs / "server.log"
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    first = not home.postgres.exists()
    tell(
        "Starting PreviewDrop. The first start prepares PostgreSQL, Valkey and Caddy."
        if first
        else "Starting PreviewDrop."
    )
    with log.open("ab") as output:
        since = output.tell()
        process = subprocess.Popen(
            SERVE,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=home.path,
            env={**os.environ, **environment, "PREVIEWDROP_HOME": str(home.path)},
            start_new_session=True,
        )
    deadline = time.monotonic() + _STARTS_WITHIN
    while not (_answers(api) and running(api)):
        if process.poll() is not None and not _held(home.lock):
            raise ServerError(
                f"The server ended with {process.returncode} before it was ready.",
                "\n".join(["Its last lines:", *(f"    {x}" for x in last_lines(log, since))])
                + f"\n  Full log: {log}",
            )
        if time.monotonic() > deadline:
            raise ServerError(
                f"The server was not ready within {_STARTS_WITHIN:.0f} seconds.",
                f"Read {log}; `previewdrop shutdown` stops it.",
            )
        time.sleep(_PAUSE)
        api.rediscover()
    # It outlives this command, so there is nothing to collect; Popen would warn of that.
    process.returncode = 0


def _answers(api: Api) -> bool:
    try:
        api.get("/healthz")
    except PreviewDropError:
        return False
    return True


def _held(lock: Path) -> bool:
    """Whether another server, started by hand perhaps, has the data folder's lock."""
    try:
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    except FileNotFoundError:
        return False
    return False


@contextmanager
def _alone(path: Path, tell: Callable[[str], None]) -> Generator[None]:
    """Holds a lock that one process at a time can have; the system frees it if that one dies."""
    with path.open("ab") as file:
        if not _try(file):
            tell("Waiting for the server, which another command is starting.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _try(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
