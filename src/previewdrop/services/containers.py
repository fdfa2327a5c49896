"""The data services of the docker runtime, each in a container that all previews share.

We reach them over Unix sockets in a folder of ours alone, previews over their own networks; no port
is published, so nobody can take one: docs/decisions/0008-service-sockets.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network
from pathlib import Path

from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret
from previewdrop.drivers.docker import labels
from previewdrop.drivers.docker.engine import Engine, Refused
from previewdrop.drivers.docker.networks import overlaps, taken_subnets
from previewdrop.drivers.docker.service import commands as service_commands
from previewdrop.drivers.together import all_of
from previewdrop.services.container import ServiceContainer
from previewdrop.services.postgres_container import PostgresContainer
from previewdrop.services.valkey_container import ValkeyContainer

_LONGEST = "docker-cache/.s.PGSQL.5432"


class ContainerServices:
    """Starts, watches and stops what the settings do not replace; None for an image replaces it.

    `derive` gives the password for a purpose, the same every time. The network on which the
    containers stand takes a /28 of `pool`. `database` and `cache` have the URL of an administrator
    and the `reach` for previews, None where replaced. Everything carries `installation`.
    """

    def __init__(
        self,
        engine: Engine,
        home: Home,
        installation: str,
        derive: Callable[[str], Secret],
        *,
        postgres_image: str | None,
        redis_image: str | None,
        redis_databases: int,
        pool: IPv4Network,
    ) -> None:
        self._engine = engine
        self._installation = installation
        self._pool = pool
        self._networking = asyncio.Lock()
        self._network = labels.name_of(installation, "services")
        sockets = home.socket(_LONGEST.replace("/", "-")).parent
        self.database = self.cache = None
        self._made: set[str] = set()
        self._containers: list[ServiceContainer] = []
        if postgres_image:
            folder = sockets / "docker-db"
            password = derive("docker postgres administrator")
            self.database = PostgresContainer(postgres_image, folder, password)
            self._add(self.database, folder)
        if redis_image:
            folder = sockets / "docker-cache"
            password = derive("docker valkey administrator")
            self.cache = ValkeyContainer(redis_image, folder, password, redis_databases)
            self._add(self.cache, folder)

    async def start(self) -> None:
        """Starts all at the same time, or adopts those that run, and returns when they answer.

        ServerError when one cannot be started, Unavailable when the Engine does not answer.
        """
        await self._make_right(ServiceContainer.start)

    async def ensure(self) -> list[str]:
        """Makes right what is not; the roles whose container was made anew since the last call.

        Those are connected to no preview's network any more. A few milliseconds when all is well.
        Raises as `start` does.
        """
        await self._make_right(ServiceContainer.ensure)
        made, self._made = self._made, set()
        return sorted(made)

    async def companions(self) -> dict[str, str]:
        """The container of each role, all of them right: `{"db": "previewdrop-…-db"}`.

        `ensure` still tells of one that was made anew by this.
        """
        await self._make_right(ServiceContainer.ensure)
        return self.names

    async def stop(self) -> None:
        """Stops all at the same time; they stay down until `start`, and their data is kept."""
        await all_of(*(one.stop() for one in self._containers))

    async def remove(self) -> None:
        """Removes everything: containers, data, network. Removing nothing succeeds."""
        await all_of(*(one.remove() for one in self._containers))
        with contextlib.suppress(Refused):  # that somebody else connected something to it
            await self._engine.delete(f"/networks/{self._network}")

    @property
    def names(self) -> dict[str, str]:
        """The container of each role, whether it is there or not."""
        return {one.program.role: one.name for one in self._containers}

    def notes(self) -> dict[str, str]:
        """How each service runs, in a few words."""
        notes: dict[str, str] = {}
        for one in self._containers:
            where = f"{one.program.image} in the container {one.name}."
            said = (f"{one.state.value}.", where, one.error)
            notes[f"{one.program.name} for docker"] = " ".join(part for part in said if part)
        return notes

    async def _make_right(self, how: Callable[[ServiceContainer], Awaitable[bool]]) -> None:
        async def right(one: ServiceContainer) -> None:
            if await how(one):
                self._made.add(one.program.role)

        await all_of(*(right(one) for one in self._containers))

    def _add(self, program: PostgresContainer | ValkeyContainer, folder: Path) -> None:
        self._containers.append(
            ServiceContainer(self._engine, self._installation, program, folder, self._home_network)
        )

    async def _home_network(self) -> None:
        """Makes sure of the network on which the containers stand by themselves."""
        async with self._networking:
            if await self._engine.get(f"/networks/{self._network}") is not None:
                return
            taken = await taken_subnets(self._engine)
            for subnet in service_commands.home_subnets(self._pool, taken):
                body = service_commands.home_network(self._installation, subnet)
                try:
                    await self._engine.post("/networks/create", body)
                except Refused as error:
                    if not overlaps(error):
                        raise
                else:
                    return
        raise ServerError(
            f"All subnets of {self._pool} are taken.",
            "Set PREVIEWDROP_DOCKER_SUBNETS to a larger private network.",
        )
