"""The data services and the edge that come with PreviewDrop, those that are not replaced by URL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from previewdrop.config.home import Home
from previewdrop.config.settings import Settings
from previewdrop.domain.secret import Secret
from previewdrop.drivers.base import Reach
from previewdrop.services.caddy import CaddyService
from previewdrop.services.ports import Ports
from previewdrop.services.postgres import STATE, PostgresService
from previewdrop.services.supervisor import Supervisor
from previewdrop.services.valkey import ValkeyService

log = logging.getLogger(__name__)

Find = Callable[[], Secret]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services are: ours, or the user's own.

    `database` and `cache` lead previews to ours; None where the URL leads previews too.
    """

    postgres: Secret
    state: Secret
    redis: Secret
    caddy: str
    database: Reach | None
    cache: Reach | None


class EmbeddedServices:
    """Starts, supervises and stops what the settings do not replace.

    `derive` gives the password for a purpose, the same every time. The edge's ports must be free;
    those of the data services are ours to choose.
    """

    def __init__(self, settings: Settings, home: Home, derive: Callable[[str], Secret]) -> None:
        self._settings = settings
        self._home = home
        self._derive = derive
        self._ports = Ports(home.path / "ports.json")
        home.logs.mkdir(exist_ok=True)
        programs: list[PostgresService | ValkeyService | CaddyService] = []
        self._postgres, self._state = self._find_postgres(programs)
        self._redis = self._find_redis(programs)
        self._reach = {
            program.name: program.reach
            for program in programs
            if not isinstance(program, CaddyService)
        }
        self._caddy = self._find_caddy(programs)
        self._supervisors = [Supervisor(program, program.pid_file) for program in programs]

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
        stopping = [one.stop() for one in self._supervisors]
        ends = await asyncio.gather(*stopping, return_exceptions=True)
        for one, end in zip(self._supervisors, ends, strict=True):
            if end is not None:
                log.warning("%s did not stop: %s", one.program.name, end)

    async def release(self) -> None:
        """Leaves all running, for the next server to adopt."""
        await asyncio.gather(*(one.release() for one in self._supervisors))

    @property
    def addresses(self) -> Addresses:
        """Known once the services were started."""
        return Addresses(
            self._postgres(),
            self._state(),
            self._redis(),
            self._caddy(),
            self._reach.get(PostgresService.name),
            self._reach.get(ValkeyService.name),
        )

    @property
    def moved(self) -> bool:
        """Whether a service has another port than with the server before: previews know the old."""
        return self._ports.moved

    def notes(self) -> dict[str, str]:
        """How each service runs, in a few words."""
        notes: dict[str, str] = {"PostgreSQL": "yours", "Valkey": "yours", "Caddy": "yours"}
        for one in self._supervisors:
            how = one.program.note if isinstance(one.program, PostgresService) else None
            said = (f"{one.state.value}.", how, one.error)
            notes[one.program.name] = " ".join(part for part in said if part)
        return notes

    def settled(self) -> Settings:
        """The settings with the ports that were chosen where they said 0."""
        chosen = {
            key: port
            for program in (one.program for one in self._supervisors)
            if isinstance(program, CaddyService)
            for key, port in (("edge_port", program.port), ("edge_http_port", program.http_port))
        }
        return self._settings.model_copy(update=chosen)

    def _find_postgres(self, programs: list[Any]) -> tuple[Find, Find]:
        """Where the previews' PostgreSQL is, and where our own state is."""
        given, state = _revealed(self._settings.postgres_url), _revealed(self._settings.state_url)
        if given is not None:
            return (lambda: given), (lambda: state or with_database(given, STATE))
        service = PostgresService(
            self._home,
            self._ports,
            self._settings.postgres_port,
            self._derive("postgres administrator"),
            self._derive("postgres state"),
        )
        programs.append(service)
        return (lambda: service.admin_url), (lambda: state or service.state_url)

    def _find_redis(self, programs: list[Any]) -> Find:
        given = _revealed(self._settings.redis_url)
        if given is not None:
            return lambda: given
        service = ValkeyService(
            self._home,
            self._ports,
            self._settings.redis_port,
            self._derive("valkey administrator"),
            self._settings.redis_databases,
        )
        programs.append(service)
        return lambda: service.admin_url

    def _find_caddy(self, programs: list[Any]) -> Callable[[], str]:
        settings, given = self._settings, self._settings.caddy_admin
        if given is not None:
            return lambda: given
        service = CaddyService(
            self._home, self._ports, settings.edge_host, settings.edge_port, settings.edge_http_port
        )
        programs.append(service)
        return lambda: service.admin


def with_database(url: Secret, name: str) -> Secret:
    """The same server's database `name`."""
    parts = urlsplit(url.reveal())
    return Secret(urlunsplit(parts._replace(path=f"/{name}")))


def _revealed(given: SecretStr | None) -> Secret | None:
    return None if given is None else Secret(given.get_secret_value())
