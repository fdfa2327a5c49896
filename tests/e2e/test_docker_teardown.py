"""Taking previews in containers away: the Engine and the services have what they had before."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from e2e.containers import BASE, admin_url, app, containers_of, engine
from e2e.data import cache_at, cache_of, database_of, rows
from e2e.halt import Halt
from e2e.repository import Branches
from e2e.server import Json, Server, preview_path

CONFIG = "previewdrop.toml"


@dataclass(frozen=True)
class Inventory:
    """Everything of an installation, as the Engine, the services and the machine list it."""

    containers: frozenset[str]
    images_in_use: frozenset[str]
    networks: frozenset[str]
    bridges: frozenset[str]
    volumes: frozenset[str]
    databases: frozenset[str]
    roles: frozenset[str]
    cache_users: frozenset[str]
    cache_keys: frozenset[str]
    routes: frozenset[str]
    folders: frozenset[str]
    processes: frozenset[int]


async def inventory(server: Server) -> Inventory:
    home = server.home
    found = await containers_of(home.installation)
    filters = {"label": [f"previewdrop.installation={home.installation}"]}
    async with engine() as docker:
        networks = await docker.get("/networks", {"filters": filters})
        volumes = await docker.get("/volumes")
    async with await psycopg.AsyncConnection.connect(admin_url(server, "db")) as admin:
        databases = {str(name) for (name,) in await rows(admin, "SELECT datname FROM pg_database")}
        roles = {str(name) for (name,) in await rows(admin, "SELECT rolname FROM pg_roles")}
    async with cache_at(admin_url(server, "cache")) as cache:
        users = await cache.execute_command("ACL", "USERS")
        keys = await cache.info("keyspace")
    mounts = [mount for one in found for mount in one["Mounts"] if mount["Type"] == "volume"]
    ours = {mount["Name"] for mount in mounts}
    labelled = [one for one in volumes["Volumes"] if home.installation in json.dumps(one)]
    folders = [home.checkouts, home.runs]
    return Inventory(
        containers=frozenset(one["Name"] for one in found),
        images_in_use=frozenset(one["Image"] for one in found),
        networks=frozenset(one["Name"] for one in networks),
        bridges=frozenset(
            name
            for _, name in socket.if_nameindex()
            if name.startswith(f"pd{home.installation[:7]}-")
        ),
        volumes=frozenset(ours | {one["Name"] for one in labelled}),
        databases=frozenset(databases),
        roles=frozenset(roles),
        cache_users=frozenset(user.decode() for user in users),
        cache_keys=frozenset(keys),
        routes=frozenset(server.routes()),
        folders=frozenset(
            str(path) for folder in folders if folder.exists() for path in folder.iterdir()
        ),
        processes=frozenset(server.processes()),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def teardown(docker_server: Server, repositories_folder: Path) -> Branches:
    repository = Branches(repositories_folder, "gone")
    await docker_server.add_project("gone", repository.path)
    return repository


async def use(server: Server, preview: Json) -> None:
    """Leaves something in the preview's database, its cache and its container."""
    async with database_of(server, preview) as database, cache_of(server, preview) as cache:
        await database.execute("CREATE TABLE things AS SELECT generate_series(1, 100) AS number")
        await cache.set("thing", "yes")
    await server.visit(preview, "/write", method="POST", params={"path": "thing", "text": "x"})


async def test_nothing_is_left_of_previews_that_were_removed(
    docker_server: Server, teardown: Branches
) -> None:
    server = docker_server
    volume = f"FROM {BASE}\nVOLUME /app/uploads\nCOPY . .\n"
    apps = {
        "plain": app(),
        "with-worker": app(
            **{CONFIG: '[processes]\nworker = "sleep 3600 & sleep 3600"\n', "Dockerfile": volume}
        ),
        "deaf": app("ignores_sigterm", **{CONFIG: ""}),
        "fails": app(**{CONFIG: 'post_deploy = "sleep 3600 & exit 7"\n'}),
    }
    before = await inventory(server)
    for branch, files in apps.items():
        teardown.write(branch, files)
    previews = await asyncio.gather(*(server.deploy("gone", branch) for branch in apps))
    states = {preview["branch"]: preview["state"] for preview in previews}
    assert states == {**dict.fromkeys(apps, "ready"), "fails": "failed"}
    for preview in previews[:2]:
        await use(server, preview)
    during = await inventory(server)
    assert len(during.containers - before.containers) == 4
    assert len(during.images_in_use - before.images_in_use) >= 2
    assert len(during.networks - before.networks) == 3
    assert len(during.bridges - before.bridges) == 3
    assert len(during.volumes - before.volumes) == 2  # the web and the worker have one each
    assert len(during.databases - before.databases) == 4
    assert len(during.roles - before.roles) == 4
    assert len(during.cache_users - before.cache_users) == 4
    assert len(during.cache_keys - before.cache_keys) == 2
    assert len(during.routes - before.routes) == 3
    assert len(during.processes - before.processes) >= 5

    code, said = await server.run("down", previews[0]["name"])
    assert code == 0, said
    await asyncio.gather(*(server.remove(preview["name"]) for preview in previews[1:]))
    assert await inventory(server) == before
    for preview in previews:
        assert (await server.ask("GET", preview_path(preview["name"]))).status_code == 404


@pytest.mark.parametrize("place", ["build", "release", "start", "post-deploy"])
async def test_a_preview_is_removed_while_it_is_deployed(
    docker_server: Server, teardown: Branches, place: str
) -> None:
    halt = Halt(docker_server.home.installation)
    branch = f"removed-at-{place}"
    before = await inventory(docker_server)
    teardown.write(branch, halt.app(place))
    wanted = await docker_server.want("gone", branch)
    await halt.arrived(place)
    await docker_server.remove(wanted["name"])
    assert halt.at(place) == []
    assert await inventory(docker_server) == before


async def test_a_database_is_made_anew_and_a_removed_preview_begins_anew(
    docker_server: Server, teardown: Branches
) -> None:
    teardown.write("again", app())
    first = await docker_server.deploy("gone", "again")
    await use(docker_server, first)
    path = preview_path(first["name"])
    reset = await docker_server.answered(await docker_server.post(f"{path}/reset-db"))
    assert reset["state"] == "ready", reset["deployment"]
    async with database_of(docker_server, reset) as database:
        assert await rows(database, "SELECT to_regclass('things')") == [(None,)]
    await use(docker_server, reset)
    await docker_server.remove(first["name"])
    second = await docker_server.deploy("gone", "again")
    assert second["state"] == "ready", second["deployment"]
    assert (second["name"], second["url"]) == (first["name"], first["url"])
    async with (
        database_of(docker_server, second) as database,
        cache_of(docker_server, second) as cache,
    ):
        assert await rows(database, "SELECT to_regclass('things')") == [(None,)]
        assert await cache.get("thing") is None
    await docker_server.remove(second["name"])
