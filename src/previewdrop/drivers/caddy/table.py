"""Where Caddy's routes stand: in a folder that it reads, or in its configuration."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from previewdrop.config.home import Home
from previewdrop.domain.errors import StageFailed
from previewdrop.domain.spec import Route
from previewdrop.drivers.caddy import commands
from previewdrop.drivers.caddy.admin import Admin


class RouteTable(Protocol):
    """The routes of one installation. The caller makes one change at a time."""

    async def find(self, host: str) -> Route | None: ...

    async def put(self, route: Route) -> None:
        """Requests that come from now on go there."""
        ...

    async def delete(self, host: str) -> None:
        """Deleting nothing succeeds."""
        ...

    async def keep(self, wanted: Collection[str]) -> list[str]:
        """Deletes every other host's route; the hosts that had one."""
        ...


@dataclass(frozen=True, slots=True)
class RouteFolders:
    """Where Caddy looks: `files` holds a folder a host, `links` short names of long sockets."""

    files: Path
    links: Path

    @classmethod
    def under(cls, home: Home) -> RouteFolders:
        """Those of the Caddy that comes with PreviewDrop."""
        return cls(home.caddy / "routes", home.socket(commands.link_name("")).parent)


class FolderTable:
    """One folder a host, in it a file whose name says where requests go.

    A switch makes the new file before it deletes the old one, so that there is always one to find.
    Caddy looks at each request, keeps its configuration and closes no connection.
    """

    def __init__(self, folders: RouteFolders) -> None:
        self._files = folders.files
        self._links = folders.links

    async def find(self, host: str) -> Route | None:
        for path in self._of(host):
            kind, place = commands.parse_file_name(path.name)
            if kind == "tcp":
                return Route(host, place)
            with suppress(FileNotFoundError):
                return Route(host, f"unix/{(self._links / place).readlink()}")
        return None

    async def put(self, route: Route) -> None:
        if route.upstream.startswith("unix/"):
            link = self._links / commands.link_name(route.upstream)
            link.unlink(missing_ok=True)
            link.symlink_to(route.upstream.removeprefix("unix/"))
        old = self._of(route.host)
        folder = self._files / route.host
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / commands.file_name(time.time_ns(), route.upstream)).touch(0o600)
        for path in old:
            path.unlink()

    async def delete(self, host: str) -> None:
        try:
            shutil.rmtree(self._files / host)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StageFailed(
                f"The route of {host} cannot be deleted: {error.strerror}.",
                f"Requests are still sent on. Delete {self._files / host}.",
            ) from error

    async def keep(self, wanted: Collection[str]) -> list[str]:
        hosts = [path.name for path in self._files.glob("*") if path.name not in wanted]
        for host in hosts:
            await self.delete(host)
        used = {commands.parse_file_name(path.name)[1] for path in self._files.glob("*/*")}
        for link in self._links.glob("to-*"):
            if link.name not in used:
                link.unlink()
        return hosts

    def _of(self, host: str) -> list[Path]:
        """The host's files, newest first."""
        return sorted((self._files / host).glob(f"*{commands.ROUTE_SUFFIX}"))


class AdminTable:
    """Routes in the configuration, each with its `@id`, changed over the admin API.

    Caddy takes a changed configuration as a whole: it closes connections that are idle at that
    moment, and a client that asks over one in that very moment has to ask again.
    """

    def __init__(self, admin: Admin, installation: str) -> None:
        self._admin = admin
        self._installation = installation

    async def find(self, host: str) -> Route | None:
        found = await self._admin.get(self._path(host))
        return commands.parse_route(self._installation, found) if found else None

    async def put(self, route: Route) -> None:
        wanted = commands.route(self._installation, route)
        if await self._admin.replace(self._path(route.host), wanted):
            return
        if await self._admin.get(commands.ROUTES) is None:
            raise StageFailed(
                "This Caddy was not set up for PreviewDrop: it has no place for routes.",
                f"Add a subroute with the @id {commands.ROUTES_ID} to its configuration.",
            )
        await self._admin.append(commands.ROUTES, wanted)

    async def delete(self, host: str) -> None:
        await self._admin.delete(self._path(host))

    async def keep(self, wanted: Collection[str]) -> list[str]:
        routes: list[commands.Json] = await self._admin.get(commands.ROUTES) or []
        kept, gone = commands.without_unwanted(self._installation, routes, wanted)
        if gone:
            await self._admin.replace(commands.ROUTES, kept)
        return gone

    def _path(self, host: str) -> str:
        return f"/id/{commands.route_id(self._installation, host)}"
