"""Each preview's network, with the services that all previews share connected to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from ipaddress import IPv4Network
from pathlib import Path

from previewdrop.domain.errors import Unavailable
from previewdrop.domain.naming import Names
from previewdrop.drivers.docker import commands, labels
from previewdrop.drivers.docker.commands import Json
from previewdrop.drivers.docker.engine import Engine, Refused
from previewdrop.drivers.docker.subnets import Subnet, first_free, routed, subnet_of
from previewdrop.drivers.together import all_of

log = logging.getLogger(__name__)

Companions = Callable[[], Awaitable[Mapping[str, str]]]
"""Makes sure that the services run, and tells the container of each alias: `{"db": "…"}`."""

_OVERLAPS = ("overlap", "conflicts with")
_ROUTES = Path("/proc/net/route")
_IN_USE = "active endpoints"
_TRIES = 3


class Networks:
    """The networks of one installation on an Engine. Subnets are taken from `pool`."""

    def __init__(
        self, engine: Engine, installation: str, pool: IPv4Network, companions: Companions
    ) -> None:
        self._engine = engine
        self._installation = installation
        self._pool = pool
        self._companions = companions
        self._changing = asyncio.Lock()

    def name(self, names: Names) -> str:
        return labels.name_of(self._installation, names.identifier)

    async def ensure(self, names: Names) -> Subnet:
        """The preview's network exists, and its database and cache are reached in it."""
        companions = await self._companions()
        name = self.name(names)
        found: Json | None = await self._engine.get(f"/networks/{name}")
        if found is None:
            async with self._changing:
                found = await self._engine.get(f"/networks/{name}")
                subnet = _subnet(self._pool, found) if found else await self._make(names, name)
        else:
            subnet = _subnet(self._pool, found)
        there = _connected(found)
        missing = {alias: one for alias, one in companions.items() if one not in there}
        await all_of(*(self._connect(name, one, alias, subnet) for alias, one in missing.items()))
        return subnet

    async def mend(self) -> None:
        """Connects the services again to all networks: they may have been made anew.

        A network in which that cannot be is its own preview's trouble alone.
        """
        companions = await self._companions()
        networks = await self._ours()
        for alias, one in companions.items():
            container: Json | None = await self._engine.get(f"/containers/{one}/json")
            connected = container["NetworkSettings"]["Networks"] if container else ()
            for network in networks:
                if network["Name"] not in connected:
                    subnet = _subnet(self._pool, network)
                    try:
                        await self._connect(network["Name"], one, alias, subnet)
                    except Refused as error:
                        log.warning("no %s in %s: %s", alias, network["Name"], error.reason)

    async def remove(self, name: str) -> None:
        """The network goes with everything that is connected to it; removing nothing succeeds.

        Unavailable when something else is being connected to it all the time, or an Engine that
        is about to end has lost sight of what is.
        """
        for _ in range(_TRIES):
            found: Json | None = await self._engine.get(f"/networks/{name}")
            if found is None:
                return
            for each in _connected(found):
                with contextlib.suppress(Refused):
                    await self._engine.post(
                        f"/networks/{name}/disconnect", {"Container": each, "Force": True}
                    )
            try:
                await self._engine.delete(f"/networks/{name}")
            except Refused as error:
                if _IN_USE not in error.reason:
                    raise
            else:
                return
        raise Unavailable(f"The network {name} is still in use.")

    async def of_previews(self) -> dict[str, str]:
        """Every network's name, with the preview that it belongs to."""
        return {each["Name"]: each["Labels"][labels.PREVIEW] for each in await self._ours()}

    async def _ours(self) -> list[Json]:
        wanted = labels.selecting(self._installation)
        found: list[Json] = await self._engine.get("/networks", {"filters": wanted})
        return [each for each in found if labels.PREVIEW in each["Labels"]]

    async def _make(self, names: Names, name: str) -> Subnet:
        """Takes the first subnet that is free; what turns out to be taken is not tried again."""
        taken = await taken_subnets(self._engine)
        while subnet := first_free(self._pool, taken):
            body = commands.network(self._installation, names.full, name, subnet)
            try:
                await self._engine.post("/networks/create", body)
            except Refused as error:
                if not overlaps(error):
                    raise
                taken.append(subnet.network)
            else:
                return subnet
        raise Unavailable(
            f"All subnets of {self._pool} are taken.",
            "Set PREVIEWDROP_DOCKER_SUBNETS to a larger private network.",
        )

    async def _connect(self, network: str, container: str, alias: str, subnet: Subnet) -> None:
        body = commands.connection(container, alias, subnet)
        try:
            await self._engine.post(f"/networks/{network}/connect", body)
        except Refused as error:
            already = error.answer == HTTPStatus.FORBIDDEN and "already exists" in error.reason
            if not already:
                raise


async def taken_subnets(engine: Engine) -> list[IPv4Network]:
    """Those of the Engine's networks and of the host's routes, which no new network may touch."""
    taken = routed(await asyncio.to_thread(_ROUTES.read_text))
    networks: list[Json] = await engine.get("/networks")
    for network in networks:
        for config in network["IPAM"].get("Config") or ():
            with contextlib.suppress(ValueError):  # an IPv6 one
                taken.append(IPv4Network(str(config.get("Subnet", ""))))
    return taken


def overlaps(error: Refused) -> bool:
    """Whether the Engine refuses a network because its subnet is taken by something we missed."""
    return any(word in error.reason for word in _OVERLAPS)


def _connected(network: Json | None) -> set[str]:
    """The names of the containers that run in a network."""
    containers: dict[str, Json] = (network or {}).get("Containers") or {}
    return {each["Name"] for each in containers.values()}


def _subnet(pool: IPv4Network, found: Json) -> Subnet:
    return subnet_of(pool, IPv4Network(found["IPAM"]["Config"][0]["Subnet"]))
