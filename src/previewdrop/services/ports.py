"""Ports that stay the same: chosen once, kept in the data folder, so that URLs stay right."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

from previewdrop.domain.errors import ServerError

_OURS = range(17000, 20000)
"""Below the ports that systems hand out for outgoing connections (32768 on Linux)."""
_TRIES = 200


class Ports:
    """The ports of one data folder, kept as JSON in `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file

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
        self._write({**kept, name: (wanted, port)})
        return port

    def replace(self, name: str, *, host: str = "127.0.0.1") -> int:
        """Another port for a service whose own was taken by a stranger while it was down."""
        kept = self._read()
        wanted, old = kept[name]
        port = free_port(host, avoid={old, *(each[1] for each in kept.values())})
        self._write({**kept, name: (wanted, port)})
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


def taken(name: str, host: str, port: int) -> ServerError:
    """The error for a port that somebody else listens on."""
    return ServerError(
        f"Port {port} on {host}, which {name} needs, is taken by another program.",
        "Stop that program or set another port.",
    )


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
