"""Routes each preview's host through Caddy's admin API."""

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

_CERTIFICATE_TIMEOUT = 10.0
_LOOK_AGAIN = 0.02


class CaddyEdge:
    """The Edge contract on a Caddy whose configuration `commands.base` made.

    `admin` is the admin address (`unix//path` or `http://host:port`), `https` the address
    (host, port) where Caddy serves, `access_log` its log of requests, where it can be read.
    Changes go one after the other. Call `aclose` at the end.
    """

    def __init__(
        self,
        admin: str,
        installation: str,
        https: tuple[str, int],
        access_log: Path | None = None,
    ) -> None:
        self._admin = Admin(admin)
        self._installation = installation
        self._https = https
        self._times = RequestTimes(access_log) if access_log else None
        self._changes = asyncio.Lock()

    async def ensure(self, route: Route) -> None:
        wanted = commands.route(self._installation, route)
        async with self._changes:
            there = await self._admin.get(self._path(route.host))
            if there == wanted:
                return
            await self._ensure_certificate(route.host)
            if there is None or not await self._admin.replace(self._path(route.host), wanted):
                await self._check_set_up()
                await self._admin.append(commands.ROUTES, wanted)

    async def observe(self, host: str) -> Route | None:
        found = await self._admin.get(self._path(host))
        return commands.parse_route(self._installation, found) if found else None

    async def remove(self, host: str) -> None:
        async with self._changes:
            await self._admin.delete(self._path(host))

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        async with self._changes:
            routes: list[commands.Json] = await self._admin.get(commands.ROUTES) or []
            kept, gone = commands.without_unwanted(self._installation, routes, wanted)
            if gone:
                await self._admin.replace(commands.ROUTES, kept)
            return gone

    async def last_requests(self) -> dict[str, float]:
        return self._times.read() if self._times else {}

    async def aclose(self) -> None:
        await self._admin.aclose()

    def _path(self, host: str) -> str:
        return f"/id/{commands.route_id(self._installation, host)}"

    async def _ensure_certificate(self, host: str) -> None:
        """Asks for the project's certificate, and waits until the first request will find it."""
        subject = commands.subject_for(host)
        if subject in (await self._admin.get(commands.SUBJECTS) or []):
            return
        await self._admin.append(commands.SUBJECTS, subject)
        try:
            async with asyncio.timeout(_CERTIFICATE_TIMEOUT):
                while not await self._shakes_hands(host):  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError as error:
            raise Unavailable(f"Caddy has no certificate for {subject} yet.") from error

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

    async def _check_set_up(self) -> None:
        if await self._admin.get(commands.ROUTES) is None:
            raise StageFailed(
                "This Caddy was not set up by PreviewDrop: it has no place for routes.",
                f"Add a subroute with the @id {commands.ROUTES_ID} to its configuration.",
            )
