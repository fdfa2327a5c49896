"""Ports that stay the same: chosen once, kept in the data folder, so that URLs stay right."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from contextlib import suppress
from pathlib import Path

from previewdrop.domain.errors import ServerError
from previewdrop.drivers.listeners import parse_listeners

_PROC = Path("/proc")
_OURS = range(17000, 20000)
"""Below the ports that systems hand out for outgoing connections (32768 on Linux)."""
_TRIES = 200
_PATIENCE = 1.0
_PAUSE = 0.05


class Ports:
    """The ports of one data folder, kept as JSON in `file`.

    `moved` says that a service has another port now than with the server before.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.moved = False

    def choose(
        self, name: str, wanted: int, *, host: str = "127.0.0.1", exact: bool = False
    ) -> int:
        """The port of the service `name`.

        The one it had before, as long as `wanted` is the same; else `wanted`; else, when that is
        taken or 0, a free one. With `exact` a `wanted` other than 0 that is taken is a
        ServerError. A port of before is not checked: the running service itself may hold it.
        """
        kept = self._read()
        if (before := kept.get(name)) and before[0] == wanted:
            return before[1]
        port = wanted if wanted and is_free(host, wanted) else 0
        if wanted and not port and exact:
            raise taken(name, host, wanted)
        port = port or free_port(host, avoid={each[1] for each in kept.values()})
        self.moved = self.moved or (before is not None and before[1] != port)
        self._write({**kept, name: (wanted, port)})
        return port

    async def claim(
        self, name: str, service: str, port: int, *, move: bool, host: str = "127.0.0.1"
    ) -> int:
        """`port`, once nobody listens there, for a service that is about to.

        Where a stranger stays it is another port with `move`; without, ServerError names the
        stranger: previews that run know the service by this port.
        """
        try:
            await freed(service, host, port)
        except ServerError:
            if not move:
                raise
            return self._replace(name, host)
        return port

    def _replace(self, name: str, host: str) -> int:
        kept = self._read()
        wanted, old = kept[name]
        port = free_port(host, avoid={old, *(each[1] for each in kept.values())})
        self._write({**kept, name: (wanted, port)})
        self.moved = True
        return port

    def _read(self) -> dict[str, tuple[int, int]]:
        try:
            kept = json.loads(self._file.read_text())
            return {str(name): (int(pair[0]), int(pair[1])) for name, pair in kept.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError, IndexError):
            return {}

    def _write(self, kept: dict[str, tuple[int, int]]) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(kept))
        fresh.replace(self._file)


async def freed(name: str, host: str, port: int) -> None:
    """Returns when nobody listens there; ServerError if somebody still does after a second.

    A process that was killed may keep its ports for a moment after it is gone.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE
    while not is_free(host, port):
        if loop.time() >= until:
            raise taken(name, host, port)
        await asyncio.sleep(_PAUSE)


def taken(name: str, host: str, port: int) -> ServerError:
    """The error for a port that somebody else listens on."""
    return ServerError(
        f"Port {port} on {host}, which {name} needs, is taken by {holder(port)}.",
        "Stop that program or set another port.",
    )


def holder(port: int) -> str:
    """Who listens on the port, as far as we may see: `process 4711 (nginx)`."""
    tables = [path for name in ("tcp", "tcp6") if (path := _PROC / "net" / name).exists()]
    listeners = [each for path in tables for each in parse_listeners(path.read_text())]
    sockets = {f"socket:[{inode}]" for inode, at in listeners if at.endswith(f":{port}")}
    for fd in _PROC.glob("[0-9]*/fd/*") if sockets else ():
        # Processes of other users do not show what they have open, and any may end meanwhile.
        with suppress(OSError):
            if str(fd.readlink()) in sockets:
                process = fd.parents[1]
                return f"process {process.name} ({(process / 'comm').read_text().strip()})"
    return "another program"


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens on the port right now. ServerError when we may not listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise ServerError(
                f"Port {port} may only be opened by root.", "Set a port above 1023."
            ) from error
        except OSError:
            return False
        return True


def free_port(host: str = "127.0.0.1", avoid: set[int] | None = None) -> int:
    """A port nobody listens on now, outside the range of outgoing connections."""
    for port in random.sample(_OURS, _TRIES):
        if port not in (avoid or set()) and is_free(host, port):
            return port
    raise ServerError(f"No free port between {_OURS[0]} and {_OURS[-1]} was found.")
