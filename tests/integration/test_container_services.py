"""The data services in containers: adopted, made anew, healed, walled off, taken away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from valkey.asyncio import Valkey

import container_services
from container_services import VALKEY, address_of, execute, run_beside
from docker_images import left_on_engine
from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import MIB, CacheSpec, DatabaseSpec
from previewdrop.drivers.docker import labels
from previewdrop.drivers.docker.engine import Engine
from previewdrop.drivers.docker.service import archives
from previewdrop.drivers.postgres.driver import PostgresDatabase
from previewdrop.drivers.valkey.driver import ValkeyCache
from previewdrop.services.containers import ContainerServices

DATABASE = DatabaseSpec("shop_pr_1", "shop_pr_1", Secret("the password"))
CACHE = CacheSpec("shop_pr_1", Secret("the password"), 3)

Make = Callable[..., ContainerServices]


@pytest_asyncio.fixture
async def engine() -> AsyncGenerator[Engine]:
    async with container_services.engine() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[tuple[Home, str]]:
    """A data folder and an installation whose services a test finds as another left them."""
    home = Home(tmp_path_factory.mktemp("containers") / "home").create()
    installation = container_services.unique()
    yield home, installation
    async with container_services.engine() as engine:
        await container_services.services_on(engine, home, installation).remove()
    assert await left_on_engine(installation) == []


@pytest.fixture
def make(engine: Engine, shared: tuple[Home, str]) -> Make:
    """Services as another start of the server makes them."""
    return lambda **more: container_services.services_on(engine, *shared, **more)


@pytest_asyncio.fixture
async def services(make: Make) -> ContainerServices:
    services = make()
    await services.start()
    await services.ensure()
    return services


@pytest_asyncio.fixture
async def caches(engine: Engine, home: Home) -> AsyncGenerator[Make]:
    """Of an installation of one test, Valkey alone."""
    installation = container_services.unique()

    def make(**more: Any) -> ContainerServices:
        more = {"postgres_image": None, **more}
        return container_services.services_on(engine, home, installation, **more)

    yield make
    await make(postgres_image="postgres:18").remove()
    assert await left_on_engine(installation) == []


async def lives(engine: Engine, services: ContainerServices) -> dict[str, tuple[str, str]]:
    """One run of one container each."""
    names = (await services.companions()).items()
    return {role: await life(engine, name) for role, name in names}


async def life(engine: Engine, name: str) -> tuple[str, str]:
    found = await engine.get(f"/containers/{name}/json")
    return found["Id"], found["State"]["StartedAt"]


async def names_of(services: ContainerServices) -> tuple[str, str]:
    companions = await services.companions()
    return companions["db"], companions["cache"]


@asynccontextmanager
async def drivers(
    services: ContainerServices,
) -> AsyncGenerator[tuple[PostgresDatabase, ValkeyCache]]:
    assert services.database
    assert services.cache
    database = PostgresDatabase(services.database.admin_url, "x", services.database.reach)
    cache = ValkeyCache(services.cache.admin_url, "x", services.cache.reach)
    try:
        yield database, cache
    finally:
        await database.aclose()
        await cache.aclose()


async def leave_data(services: ContainerServices) -> None:
    async with drivers(services) as (database, cache):
        await database.ensure(DATABASE)
        await cache.ensure(CACHE)
    async with numbered(services, CACHE.number) as client:
        await client.set("kept", "1")


async def data_is_there(services: ContainerServices) -> bool:
    async with drivers(services) as (database, cache):
        known = (await database.ensure(DATABASE))[1] and (await cache.ensure(CACHE))[1]
    async with numbered(services, CACHE.number) as client:
        return known and await client.get("kept") == b"1"


def numbered(services: ContainerServices, number: int) -> Any:
    assert services.cache
    return Valkey.from_url(services.cache.admin_url.reveal().replace("db=0", f"db={number}"))


async def works(services: ContainerServices) -> bool:
    async with numbered(services, 0) as client:
        return await client.ping()


async def test_started_they_serve_and_say_where_previews_find_them(services: ContainerServices):
    async with drivers(services) as (database, cache):
        endpoint, _ = await database.ensure(DATABASE)
        assert (endpoint.host, endpoint.port) == ("db", 5432)
        endpoint, _ = await cache.ensure(CACHE)
        assert (endpoint.host, endpoint.port) == ("cache", 6379)
        assert await cache.capacity() == 63
    notes = services.notes()
    assert list(notes) == ["PostgreSQL for docker", "Valkey for docker"]
    assert notes["Valkey for docker"].startswith(f"running. {VALKEY} in the container previewdrop-")


async def test_docker_finds_them_healthy(engine: Engine, services: ContainerServices):
    for name in await names_of(services):
        found = await engine.get(f"/containers/{name}/json")
        kind, *check = found["Config"]["Healthcheck"]["Test"]
        argv = ["/bin/sh", "-c", *check] if kind == "CMD-SHELL" else check
        assert await execute(engine, name, argv) == (0, "")


async def test_the_next_server_adopts_them(engine: Engine, services: ContainerServices, make: Make):
    before = await lives(engine, services)
    after = make()
    await after.start()
    assert await lives(engine, after) == before
    assert await after.ensure() == []


async def test_ensuring_many_times_at_once_changes_nothing(
    engine: Engine, services: ContainerServices
):
    before = await lives(engine, services)
    assert await asyncio.gather(*(services.ensure() for _ in range(10))) == [[]] * 10
    assert await lives(engine, services) == before


async def test_other_settings_make_it_anew_on_the_same_data(
    engine: Engine, services: ContainerServices, make: Make
):
    await leave_data(services)
    before = await lives(engine, services)
    renamed = {"repo": "previewdrop-tests/postgres", "tag": container_services.unique()}
    await engine.post("/images/postgres:18/tag", query=renamed)
    name = ":".join(renamed.values())
    try:
        other = make(postgres_image=name, redis_databases=32)
        await other.start()
        assert await other.ensure() == ["cache", "db"]
        after = await lives(engine, other)
        assert {before[role][0] == after[role][0] for role in after} == {False}
        assert await data_is_there(other)
        async with drivers(other) as (_, cache):
            assert await cache.capacity() == 31
    finally:
        back = make()
        await back.start()
        await engine.delete(f"/images/{name}")
    assert await back.ensure() == ["cache", "db"]


async def test_an_image_that_was_pulled_anew_is_taken(engine: Engine, caches: Make):
    image = {"repo": "previewdrop-tests/valkey", "tag": container_services.unique()}
    name = ":".join(image.values())
    await engine.post(f"/images/{VALKEY}/tag", query=image)
    try:
        services = caches(redis_image=name)
        await services.start()
        assert await services.ensure() == ["cache"]
        container = (await services.companions())["cache"]
        await engine.post("/commit", {}, {"container": container, **image})
        assert await services.ensure() == []
        again = caches(redis_image=name)
        await again.start()
        assert await again.ensure() == ["cache"]
    finally:
        await caches().remove()
        await engine.delete(f"/images/{name}")


async def test_a_name_that_went_from_its_image_changes_nothing(engine: Engine, caches: Make):
    image = {"repo": "previewdrop-tests/valkey", "tag": container_services.unique()}
    name = ":".join(image.values())
    await engine.post(f"/images/{VALKEY}/tag", query=image)
    first = caches(redis_image=name)
    await first.start()
    before = await lives(engine, first)
    await engine.delete(f"/images/{name}")
    second = caches(redis_image=name)
    await second.start()
    assert await lives(engine, second) == before


async def test_removed_by_hand_they_are_made_again_and_it_is_told_once(
    engine: Engine, services: ContainerServices
):
    await leave_data(services)
    for name in await names_of(services):
        await engine.delete(f"/containers/{name}", {"force": True})
    assert set(await services.companions()) == {"db", "cache"}
    assert await services.ensure() == ["cache", "db"]
    assert await services.ensure() == []
    assert await data_is_there(services)


@pytest.mark.parametrize("what", ["stop", "kill", "pause"])
async def test_stopped_by_hand_they_are_started_again(
    engine: Engine, services: ContainerServices, what: str
):
    await leave_data(services)
    for name in await names_of(services):
        await engine.post(f"/containers/{name}/{what}")
    assert await services.ensure() == []
    assert await data_is_there(services)


async def test_docker_starts_one_again_that_ended_and_ensure_waits_for_it(
    engine: Engine, services: ContainerServices
):
    _, cache = await names_of(services)
    before = await life(engine, cache)
    await execute(engine, cache, ["bash", "-c", "kill -TERM 1"], user="valkey")
    async with asyncio.timeout(30):
        while await life(engine, cache) == before:  # noqa: ASYNC110 - the Engine's doing
            await asyncio.sleep(0.02)
    assert await services.ensure() == []
    assert await works(services)


async def test_a_network_that_was_pruned_meanwhile_is_made_again(engine: Engine, caches: Make):
    services = caches()
    await services.start()
    await services.ensure()
    cache = (await services.companions())["cache"]
    await services.stop()
    network = cache.replace("-cache", "-services")
    assert await engine.delete(f"/networks/{network}")
    assert await services.ensure() == ["cache"]
    assert await works(services)


async def test_stopping_keeps_the_data(engine: Engine, services: ContainerServices, make: Make):
    await leave_data(services)
    names = await names_of(services)
    await services.stop()
    await services.stop()
    for name in names:
        assert (await engine.get(f"/containers/{name}/json"))["State"]["Status"] == "exited"
        assert await engine.get(f"/volumes/{name}")
    assert services.notes()["Valkey for docker"].startswith("stopped.")
    again = make()
    await again.start()
    assert await again.ensure() == []
    assert await data_is_there(again)


async def test_removing_takes_everything(engine: Engine, caches: Make):
    services = caches()
    await services.start()
    name = (await services.companions())["cache"]
    installation = name.split("-")[1]
    assert len(await left_on_engine(installation)) == 3
    await services.remove()
    await services.remove()
    assert await left_on_engine(installation) == []


@asynccontextmanager
async def preview_network(engine: Engine, services: ContainerServices) -> AsyncGenerator[str]:
    """A network with both services on it, as a preview has one."""
    name = f"previewdrop-tests-{container_services.unique()}"
    await engine.post("/networks/create", {"Name": name, "Driver": "bridge"})
    companions = await services.companions()
    try:
        for alias, container in companions.items():
            body = {"Container": container, "EndpointConfig": {"Aliases": [alias]}}
            await engine.post(f"/networks/{name}/connect", body)
        yield name
    finally:
        for container in companions.values():
            body = {"Container": container, "Force": True}
            await engine.post(f"/networks/{name}/disconnect", body)
        await engine.delete(f"/networks/{name}")


async def test_from_a_preview_its_own_role_gets_in_and_the_superuser_does_not(
    engine: Engine, services: ContainerServices
):
    async with drivers(services) as (database, _):
        await database.ensure(DATABASE)
    psql = ["psql", "--host=db", "--no-psqlrc", "--tuples-only", "--no-align", "--command"]
    own = ["PGUSER=shop_pr_1", "PGPASSWORD=the password"]
    ours = ["PGUSER=postgres", "PGPASSWORD=of the docker postgres administrator"]
    async with preview_network(engine, services) as network:
        assert await run_beside(engine, network, [*psql, "SELECT 7"], own) == (0, "7\n")
        code, said = await run_beside(engine, network, [*psql, "SELECT 7"], ours)
        assert code == 2
        assert "pg_hba.conf rejects connection" in said
        code, said = await run_beside(
            engine, network, [*psql, "SELECT 7"], [*own, "PGDATABASE=postgres"]
        )
        assert "permission denied for database" in said


async def test_no_preview_reaches_another_s_network_through_a_service(
    engine: Engine, services: ContainerServices
):
    async with preview_network(engine, services):
        for name in await names_of(services):
            path = "/proc/sys/net/ipv4/conf/*/forwarding"
            assert await execute(engine, name, ["sh", "-c", f"sort -u {path}"]) == (0, "0\n")


async def test_no_port_is_open_to_anybody_else(engine: Engine, services: ContainerServices):
    for name in await names_of(services):
        found = await engine.get(f"/containers/{name}/json")
        assert not any(found["NetworkSettings"]["Ports"].values())
    network = await engine.get(f"/networks/{name.replace('-cache', '-services')}")
    assert network["Internal"]
    assert network["Labels"][labels.INSTALLATION] == name.split("-")[1]


async def test_the_superuser_is_refused_over_tcp_from_this_machine_too(
    engine: Engine, services: ContainerServices
):
    assert services.database
    host = await address_of(engine, (await names_of(services))[0])
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        await psycopg.AsyncConnection.connect(
            services.database.admin_url.reveal(), host=host, port=5432
        )


async def test_a_preview_s_sessions_are_killed_for_memory_before_the_server(
    engine: Engine, services: ContainerServices
):
    database, cache = await names_of(services)
    scores = "for p in /proc/[0-9]*; do grep -q ^postgres: $p/cmdline && cat $p/oom_score_adj; done"
    _, said = await execute(engine, database, ["bash", "-c", scores])
    assert set(said.split()) == {"500"}
    _, said = await execute(engine, database, ["cat", "/proc/1/oom_score_adj"])
    assert said == "0\n"
    _, said = await execute(engine, cache, ["grep", "Max data size", "/proc/1/limits"])
    assert said.split()[3:5] == [str(2048 * MIB)] * 2


async def test_passwords_are_in_files_alone(engine: Engine, services: ContainerServices):
    for name in await names_of(services):
        assert "administrator" not in json.dumps(await engine.get(f"/containers/{name}/json"))
        commands = "cat /proc/[0-9]*/cmdline"
        _, said = await execute(engine, name, ["bash", "-c", commands])
        assert "administrator" not in said
    database = (await names_of(services))[0]
    _, said = await execute(engine, database, ["stat", "-c", "%a %U", "/etc/previewdrop/password"])
    assert said == "600 root\n"
    code, _ = await execute(engine, database, ["cat", "/etc/previewdrop/password"], user="postgres")
    assert code == 1


async def test_a_lost_key_is_told_and_leaves_postgresql_running(
    engine: Engine, services: ContainerServices, make: Make
):
    before = await lives(engine, services)
    with pytest.raises(ServerError, match="key file"):
        await make(password="another", redis_image=None).start()
    assert await lives(engine, services) == before


async def test_valkey_s_password_may_change(caches: Make):
    await caches().start()
    other = caches(password="another")
    await other.start()
    assert await works(other)
    assert await other.ensure() == []


async def test_what_makes_a_start_fail_is_told_and_not_repeated_for_ever(
    engine: Engine, caches: Make
):
    services = caches()
    await services.start()
    name = (await services.companions())["cache"]
    await services.stop()
    tar = archives.file_of("users.acl", "user broken nonsense\n")
    await engine.upload(f"/containers/{name}/archive", tar, {"path": "/data"})
    with pytest.raises(ServerError, match="ended while it started") as raised:
        await services.start()
    assert "It said: " in (raised.value.hint or "")
    assert (await engine.get(f"/containers/{name}/json"))["State"]["Status"] == "exited"
    assert "ended while it started" in services.notes()["Valkey for docker"]


async def test_an_image_that_cannot_be_had_is_told(caches: Make):
    with pytest.raises(ServerError, match="could not be pulled") as raised:
        await caches(redis_image="127.0.0.1:1/none:1").start()
    assert raised.value.message.startswith(
        "The image 127.0.0.1:1/none:1 of PREVIEWDROP_REDIS_IMAGE could"
    )


async def test_data_of_another_postgresql_is_told_and_left(engine: Engine, caches: Make):
    name = caches(postgres_image="postgres:18").names["db"]
    marks = {"previewdrop.postgres": "17"}
    await engine.post("/volumes/create", {"Name": name, "Labels": marks})
    with pytest.raises(ServerError, match=r"is PostgreSQL 17, and the image postgres:18 is 18"):
        await caches(postgres_image="postgres:18").start()
    assert (await engine.get(f"/volumes/{name}"))["Labels"] == marks
    assert await engine.get(f"/containers/{name}/json") is None


async def test_a_stranger_of_that_name_is_left_alone(engine: Engine, caches: Make):
    services = caches()
    name = next(iter(services.names.values()))
    stranger = await engine.post("/containers/create", {"Image": VALKEY}, {"name": name})
    with pytest.raises(ServerError, match="did not make"):
        await services.start()
    assert (await engine.get(f"/containers/{name}/json"))["Id"] == stranger["Id"]
    await engine.delete(f"/containers/{name}", {"v": True})


async def test_what_is_replaced_is_not_started(caches: Make):
    services = caches(redis_image=None)
    await services.start()
    assert await services.ensure() == []
    assert services.database is services.cache is None
    assert services.notes() == {}


async def test_no_engine_is_unavailable(home: Home):
    nobody = Engine(str(home.path / "nobody.sock"))
    services = container_services.services_on(nobody, home, "none")
    for work in (services.start, services.ensure, services.stop):
        with pytest.raises(Unavailable, match="Docker Engine"):
            await work()
    await nobody.aclose()
