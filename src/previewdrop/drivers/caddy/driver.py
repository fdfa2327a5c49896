"""Routes each preview's host through Caddy, with a certificate for each project."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection
from pathlib import Path

from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.spec import Route
from previewdrop.drivers.caddy import commands
from previewdrop.drivers.caddy.admin import Admin
from previewdrop.drivers.caddy.requests import RequestTimes
from previewdrop.drivers.caddy.table import AdminTable, FolderTable, RouteFolders, RouteTable

_CERTIFICATE_TIMEOUT = 10.0
_LOOK_AGAIN = 0.02


class CaddyEdge:
    """The Edge contract on Caddy.

    `admin` is the admin address (`unix//path` or `http://host:port`), `https` the address
    (host, port) where Caddy serves, `access_log` its log of requests, where it can be read.
    `routes` are the folders that the Caddy of PreviewDrop reads its routes from; a Caddy of the
    user's own has none and gets them over the admin API. Call `aclose` at the end.
    """

    def __init__(
        self,
        admin: str,
        installation: str,
        https: tuple[str, int],
        access_log: Path | None = None,
        routes: RouteFolders | None = None,
    ) -> None:
        self._admin = Admin(admin)
        self._https = https
        self._times = RequestTimes(access_log) if access_log else None
        self._table: RouteTable = (
            FolderTable(routes) if routes else AdminTable(self._admin, installation)
        )
        self._changes = asyncio.Lock()
        self._served: set[str] = set()

    async def ensure(self, route: Route) -> None:
        if not commands.is_upstream(route.upstream):
            raise StageFailed(f"{route.upstream!r} is no address that requests can be sent to.")
        async with self._changes:
            await self._ensure_certificate(route.host)
            if await self._table.find(route.host) != route:
                await self._table.put(route)

    async def observe(self, host: str) -> Route | None:
        return await self._table.find(host)

    async def remove(self, host: str) -> None:
        async with self._changes:
            await self._table.delete(host)

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        async with self._changes:
            return await self._table.keep(wanted)

    async def last_requests(self) -> dict[str, float]:
        return self._times.read() if self._times else {}

    async def aclose(self) -> None:
        await self._admin.aclose()

    async def _ensure_certificate(self, host: str) -> None:
        """Asks for the project's certificate, and waits until the first request will find it.

        That it was asked for is not enough: Caddy may not have got it in time.
        """
        subject = commands.subject_for(host)
        asked = subject in (await self._admin.get(commands.SUBJECTS) or [])
        if asked and subject in self._served:
            return
        if not asked:
            await self._admin.append(commands.SUBJECTS, subject)
        try:
            async with asyncio.timeout(_CERTIFICATE_TIMEOUT):
                while not await self._shakes_hands(host):  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError as error:
            raise Unavailable(f"Caddy has no certificate for {subject} yet.") from error
        self._served.add(subject)

    async def _shakes_hands(self, host: str) -> bool:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the question is only whether there is one
        address, port = self._https
        try:
            _, writer = await asyncio.open_connection(
                address, port, ssl=context, server_hostname=host
            )
        except OSError:
            return False
        writer.close()
        return True
