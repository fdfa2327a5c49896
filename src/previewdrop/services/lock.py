"""The data folder's lock: one server a home, freed by the kernel however the server ends."""

from __future__ import annotations

import fcntl
import json
import os

from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError


class HomeLock:
    """flock on `Home.lock`, with the pid of its holder inside."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._fd: int | None = None

    def acquire(self) -> None:
        """Takes the lock; ServerError names the server that has it."""
        fd = os.open(self._home.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise ServerError(
                f"PreviewDrop already runs on {self._home.path} "
                f"(pid {holder}{_url_of(self._home, holder)}).",
                "Use it, stop it with `previewdrop shutdown`, or set another PREVIEWDROP_HOME.",
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Gives the lock back; the file stays, so that nobody locks a file that is gone."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> HomeLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _url_of(home: Home, holder: str) -> str:
    """`, http://…` if the server file was written by the holder of the lock."""
    try:
        record = json.loads(home.server_file.read_text())
        return f", {record['url']}" if str(record["pid"]) == holder else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
