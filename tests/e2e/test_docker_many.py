"""More networks at once than Docker's own address pools have."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Network
from uuid import uuid4

from docker_images import left_on_engine
from e2e.containers import engine, forget, stranger
from previewdrop.domain.naming import names_for
from previewdrop.drivers.docker.networks import Networks

MANY = 60
POOL = IPv4Network("10.212.0.0/16")


async def test_sixty_previews_have_a_network_each_with_the_database_in_it() -> None:
    installation = uuid4().hex[:10]
    names = [names_for("many", f"pr-{number}", "{project}.localhost") for number in range(MANY)]
    async with engine() as docker, stranger(["sleep", "1000"]) as database:

        async def companions() -> dict[str, str]:
            return {"db": database["Name"].strip("/")}

        networks = Networks(docker, installation, POOL, companions)
        try:
            subnets = await asyncio.gather(*(networks.ensure(one) for one in names))
            assert len({one.network for one in subnets}) == MANY
            assert all(one.network.subnet_of(POOL) for one in subnets)
            assert set(await networks.of_previews()) == {networks.name(one) for one in names}
            found = (await docker.get(f"/containers/{database['Id']}/json"))["NetworkSettings"]
            for one, subnet in zip(names, subnets, strict=True):
                address = found["Networks"][networks.name(one)]["IPAddress"]
                assert address == subnet.companion("db")
            await asyncio.gather(*(networks.remove(networks.name(one)) for one in names))
            assert await left_on_engine(installation) == []
        finally:
            await forget(installation)
