"""The data services and the edge that come with PreviewDrop, those that are not replaced by URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from previewdrop.config.home import Home
from previewdrop.config.settings import Settings
from previewdrop.domain.secret import Secret
from previewdrop.services.caddy import CaddyService
from previewdrop.services.ports import Ports
from previewdrop.services.postgres import PostgresService
from previewdrop.services.supervisor import Supervisor
from previewdrop.services.valkey import ValkeyService


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services are: ours, or the user's own."""

    postgres: Secret
    state: Secret
    redis: Secret
    caddy: str


class EmbeddedServices:
    """Starts, supervises and stops what the settings do not replace.

    `derive` gives the password for a purpose, the same every time. The edge's ports must be free;
    those of the data services are ours to choose.
    """

    def __init__(self, settings: Settings, home: Home, derive: Callable[[str], Secret]) -> None:
        ports = Ports(home.path / "ports.json")
        home.logs.mkdir(exist_ok=True)
        self._settings = settings
        self._postgres = self._valkey = self._caddy = None
        if settings.postgres_url is None:
            self._postgres = PostgresService(
                home,
                ports,
                settings.postgres_port,
                derive("postgres administrator"),
                derive("postgres state"),
            )
        if settings.redis_url is None:
            self._valkey = ValkeyService(
                home,
                ports,
                settings.redis_port,
                derive("valkey administrator"),
                settings.redis_databases,
            )
        if settings.caddy_admin is None:
            self._caddy = CaddyService(
                home, ports, settings.edge_host, settings.edge_port, settings.edge_http_port
            )
        programs = (self._postgres, self._valkey, self._caddy)
        self._supervisors = [Supervisor(p, p.pid_file) for p in programs if p is not None]

    async def start(self) -> None:
        """Starts all at the same time, or adopts those that run; ServerError if one cannot."""
        starting = [asyncio.ensure_future(one.start()) for one in self._supervisors]
        try:
            await asyncio.gather(*starting)
        except BaseException:
            await asyncio.gather(*starting, return_exceptions=True)
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops all that were started, at the same time."""
        await asyncio.gather(*(one.stop() for one in self._supervisors))

    @property
    def addresses(self) -> Addresses:
        """Known once the services were started."""
        return Addresses(self._postgres_url(), self._state_url(), self._redis_url(), self._admin())

    def notes(self) -> dict[str, str]:
        """How each service runs, in a few words."""
        notes = {"postgres": "yours", "valkey": "yours", "caddy": "yours"}
        for one in self._supervisors:
            error = f", {one.error}" if one.error else ""
            notes[one.program.name.lower().replace("postgresql", "postgres")] = (
                f"{one.state}{error}"
            )
        return notes

    def settled(self) -> Settings:
        """The settings with the ports that were chosen where they said 0."""
        if self._caddy is None:
            return self._settings
        chosen = {
            "edge_port": self._caddy.port,
            "edge_http_port": self._caddy.http_port,
        }
        return self._settings.model_copy(update=chosen)

    def _postgres_url(self) -> Secret:
        if self._settings.postgres_url is not None:
            return Secret(self._settings.postgres_url.get_secret_value())
        return self._postgres.admin_url

    def _state_url(self) -> Secret:
        if self._settings.state_url is not None:
            return Secret(self._settings.state_url.get_secret_value())
        if self._postgres is not None:
            return self._postgres.state_url
        return self._postgres_url()

    def _redis_url(self) -> Secret:
        if self._settings.redis_url is not None:
            return Secret(self._settings.redis_url.get_secret_value())
        return self._valkey.admin_url

    def _admin(self) -> str:
        return self._settings.caddy_admin or self._caddy.admin
