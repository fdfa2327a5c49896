"""Loopback ports: one for each preview, and where a process listens in fact."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from previewdrop.drivers.listeners import parse_listeners

FIRST = 20000
LAST = 29999
"""Below the ports that Linux (32768) and macOS (49152) give to outgoing connections."""

_RECENT = 120.0
"""Seconds for which a port is not handed out again: its app may not listen yet."""


class Ports:
    """Hands out free ports, never one twice in a short time."""

    def __init__(self) -> None:
        self._given: dict[int, float] = {}
        self._next = FIRST + int.from_bytes(os.urandom(2)) % (LAST - FIRST)

    def take(self, reserved: Collection[int]) -> int:
        """A port nobody listens on and no deployment has. OSError when there is none."""
        now = time.monotonic()
        self._given = {port: at for port, at in self._given.items() if now - at < _RECENT}
        for step in range(LAST - FIRST + 1):
            port = FIRST + (self._next + step - FIRST) % (LAST - FIRST + 1)
            if port not in self._given and port not in reserved and _free(port):
                self._given[port] = now
                self._next = port + 1
                return port
        raise OSError(f"all ports from {FIRST} to {LAST} are taken")


def listening(pids: Iterable[int]) -> tuple[str, ...]:
    """The TCP addresses on which any of the processes listens, as `host:port`."""
    inodes = {inode for pid in pids for inode in _sockets(pid)}
    found: list[str] = []
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net") / table
        if path.exists():
            found += [
                address for inode, address in parse_listeners(path.read_text()) if inode in inodes
            ]
    return tuple(dict.fromkeys(found))


def _sockets(pid: int) -> set[str]:
    found: set[str] = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if match := re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink())):
                found.add(match[1])
    except OSError:
        return found
    return found


def _free(port: int) -> bool:
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - only tried
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((host, port))
            except OSError:
                return False
    return True
