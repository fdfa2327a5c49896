"""The docker runtime's own parts: Engine, data services, firewall, and the drivers over them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from previewdrop.config.home import Home
from previewdrop.config.settings import Settings
from previewdrop.domain.errors import BadConfig, PreviewDropError, ServerError
from previewdrop.domain.spec import DOCKER
from previewdrop.drivers.attended import AttendedCache, AttendedDatabase
from previewdrop.drivers.base import Cache, Database
from previewdrop.drivers.docker.builder import DockerBuilder, Room
from previewdrop.drivers.docker.buildkit.limits import Bounds
from previewdrop.drivers.docker.engine import Engine, socket_of
from previewdrop.drivers.docker.firewall import Firewall, Opening, nameservers, resolved
from previewdrop.drivers.docker.host import check
from previewdrop.drivers.docker.labels import name_of
from previewdrop.drivers.docker.runtime import DockerRuntime
from previewdrop.drivers.docker.runtime import Settings as RuntimeSettings
from previewdrop.drivers.postgres.driver import PostgresDatabase
from previewdrop.drivers.valkey.driver import ValkeyCache
from previewdrop.services.containers import ContainerServices
from previewdrop.store.secrets import SecretBox

log = logging.getLogger(__name__)

_EVERY = 30.0
_RESOLV_CONF = Path("/etc/resolv.conf")
_LOOPBACK = frozenset({"", "localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Data:
    """The servers of the process runtime, which are everybody's where they are the user's own."""

    database: Database
    cache: Cache


class DockerParts:
    """Everything of the docker runtime. Call `aclose` at the end.

    `offer` is called with it once previews can run in it. BadConfig for an Engine elsewhere.
    """

    def __init__(
        self,
        settings: Settings,
        home: Home,
        box: SecretBox,
        data: Data,
        offer: Callable[[DockerParts], None],
    ) -> None:
        self._settings = settings
        self._home = home
        self._installation = home.installation
        self.engine = Engine(socket_of(settings.docker_host))
        pool = IPv4Network(settings.docker_subnets)
        self.services = ContainerServices(
            self.engine,
            home,
            home.installation,
            box.derive,
            postgres_image=None if settings.postgres_url else settings.postgres_image,
            redis_image=None if settings.redis_url else settings.redis_image,
            redis_databases=settings.redis_databases,
            pool=pool,
        )
        self.runtime = DockerRuntime(
            self.engine,
            home.installation,
            RuntimeSettings(
                pool,
                settings.ceilings,
                settings.oci_runtime,
                require_walls=settings.sandbox == "require",
            ),
            self.services.companions,
        )
        self.builder = DockerBuilder(
            self.engine,
            home.installation,
            Room(
                context=settings.context_bytes,
                images=settings.image_bytes,
                cache=settings.build_cache_bytes,
                bounds=Bounds(settings.build_memory, settings.build_cpus),
            ),
        )
        self._closing: list[PostgresDatabase | ValkeyCache] = []
        self.database = self._make_database(data.database)
        self.cache = self._make_cache(data.cache)
        self._offer = offer
        self._opening = asyncio.Lock()
        self._open = False
        self._silence = ""

    async def open(self) -> None:
        """Makes sure that previews can run, within their walls, and offers them the runtime.

        ServerError or BadConfig when they cannot; it may be tried again. Starts the services at
        once if docker is what is set or they were in use; else when they are first needed.
        """
        async with self._opening:
            if not self._open:
                await self._make_ready()
                self._open = True
                self._offer(self)

    async def answers(self) -> bool:
        """Whether a deployment can be made now."""
        try:
            await self.open()
            await check(self.engine, self._settings.oci_runtime)
        except PreviewDropError as error:
            if str(error) != self._silence:
                log.info("docker cannot be used: %s", error)
            self._silence = str(error)
            return False
        return True

    async def keep(self) -> None:
        """Makes services, networks and walls right again, whatever happens to them; never ends."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                if await self.answers():
                    await self._mend()
            except PreviewDropError as error:
                log.warning("docker services: %s", error)
            except Exception:
                log.exception("keeping the docker services broke")

    async def _make_ready(self) -> None:
        _check_url("PREVIEWDROP_POSTGRES_URL", self._settings.postgres_url)
        _check_url("PREVIEWDROP_REDIS_URL", self._settings.redis_url)
        await check(self.engine, self._settings.oci_runtime)
        await self._enforce()
        if self.runtime.walls_missing and self._settings.sandbox == "require":
            raise ServerError(
                f"PREVIEWDROP_SANDBOX is require. {self.runtime.walls_missing}",
            )
        if self._settings.runtime == DOCKER or await self._in_use():
            await self.services.start()
            await self.runtime.networks.mend()

    async def stop(self, *, keep: bool = False) -> None:
        """Stops the services and takes the firewall down; previews have been stopped before.

        With `keep` previews go on, and so do services and firewall.
        """
        if keep or not self._open:
            return
        try:
            if await self.runtime.runs_anything():
                log.warning("containers of previews run on, so services and firewall stay")
                return
            await self.services.stop()
            if self.runtime.walls_missing is None:
                await self._firewall().remove()
        except PreviewDropError as error:
            log.warning("the docker services did not stop: %s", error)

    async def aclose(self) -> None:
        for driver in self._closing:
            await driver.aclose()
        await self.engine.aclose()

    async def _in_use(self) -> bool:
        """Whether this installation has a service on the Engine, running or not."""
        roles = [
            self.services.database and "db",
            self.services.cache and "cache",
        ]
        names = [name_of(self._installation, role) for role in roles if role]
        found = [await self.engine.get(f"/containers/{name}/json") for name in names]
        return any(one is not None for one in found)

    async def _mend(self) -> None:
        await self._enforce()
        if await self._in_use() and await self.services.ensure():
            await self.runtime.networks.mend()

    async def _enforce(self) -> None:
        try:
            firewall = await self._resolved_firewall()
            await firewall.enforce()
            await asyncio.to_thread(firewall.keep, self._home.firewall)
        except ServerError as error:
            if self.runtime.walls_missing is None:
                log.warning("previews have no firewall: %s", error)
            self.runtime.walls_missing = str(error)
        else:
            self.runtime.walls_missing = None

    async def _resolved_firewall(self) -> Firewall:
        openings = nameservers(await asyncio.to_thread(_RESOLV_CONF.read_text))
        for url, port in ((self._settings.postgres_url, 5432), (self._settings.redis_url, 6379)):
            if url is not None:
                parts = urlsplit(url.get_secret_value())
                openings += await resolved(parts.hostname or "", parts.port or port)
        return self._firewall(*openings)

    def _firewall(self, *openings: Opening) -> Firewall:
        settings = self._settings
        public = settings.edge_host not in _LOOPBACK
        ports = (settings.edge_port, settings.edge_http_port) if public else ()
        return Firewall(self._installation, openings, ports)

    def _make_database(self, users_own: Database) -> Database:
        service = self.services.database
        if service is None:
            return users_own
        inner = PostgresDatabase(service.admin_url, self._installation, service.reach)
        self._closing.append(inner)
        return AttendedDatabase(inner, self.services.companions, self._in_use)

    def _make_cache(self, users_own: Cache) -> Cache:
        service = self.services.cache
        if service is None:
            return users_own
        inner = ValkeyCache(service.admin_url, self._installation, service.reach)
        self._closing.append(inner)
        numbers = self._settings.redis_databases
        return AttendedCache(inner, self.services.companions, self._in_use, numbers)


def _check_url(name: str, url: SecretStr | None) -> None:
    """A container's own loopback is not this machine's."""
    if url is None:
        return
    host = urlsplit(url.get_secret_value()).hostname or ""
    if host in _LOOPBACK:
        raise BadConfig(
            f"{name} is on this machine's loopback, which containers do not reach.",
            "Name an address of the machine's network, or unset it to use a container.",
        )
