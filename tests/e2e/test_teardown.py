"""Taking previews away: what was there before is there afterwards, and nothing more."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from e2e.data import cache_at, cache_of, database_of, rows
from e2e.gate import Gate
from e2e.repository import Branches, healthy
from e2e.server import Json, Server, preview_path, served, using

CONFIG = "previewdrop.toml"


@dataclass(frozen=True)
class Inventory:
    """Everything on the machine that belongs to previews, as real tools list it."""

    processes: frozenset[int]
    groups: frozenset[str]
    folders: frozenset[str]
    routes: frozenset[str]
    databases: frozenset[str]
    schemas: frozenset[str]
    roles: frozenset[str]
    cache_users: frozenset[str]
    cache_keys: frozenset[str]


async def inventory(server: Server) -> Inventory:
    home = server.home
    folders = (home.checkouts, home.runs, home.caddy / "routes")
    async with await psycopg.AsyncConnection.connect(server.admin_url("postgres")) as admin:
        databases = {str(name) for (name,) in await rows(admin, "SELECT datname FROM pg_database")}
        roles = {str(name) for (name,) in await rows(admin, "SELECT rolname FROM pg_roles")}
    schemas = {name for each in databases for name in await schemas_of(server, each)}
    async with cache_at(server.admin_url("valkey")) as cache:
        users = await cache.execute_command("ACL", "USERS")
        keys = await cache.info("keyspace")
    return Inventory(
        processes=frozenset(server.processes()),
        groups=frozenset(server.groups()),
        folders=frozenset(
            str(path) for folder in folders if folder.exists() for path in folder.iterdir()
        ),
        routes=frozenset(server.routes()),
        databases=frozenset(databases),
        schemas=frozenset(schemas),
        roles=frozenset(roles),
        cache_users=frozenset(user.decode() for user in users),
        cache_keys=frozenset(keys),
    )


async def schemas_of(server: Server, database: str) -> list[str]:
    """The schemas of a database, with its name in front."""
    if database == "template0":
        return []
    url = server.admin_url("postgres")
    async with await psycopg.AsyncConnection.connect(url, dbname=database) as admin:
        found = await rows(admin, "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'")
    return [f"{database}.{name}" for (name,) in found]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def teardown(server: Server, repositories_folder: Path) -> Branches:
    repository = Branches(repositories_folder, "teardown")
    await server.add_project("teardown", repository.path)
    return repository


async def use(server: Server, preview: Json) -> None:
    """Leaves something in the preview's database, cache, folders, and a process of its own."""
    async with database_of(server, preview) as database, cache_of(server, preview) as cache:
        await database.execute("CREATE TABLE things AS SELECT generate_series(1, 100) AS number")
        await cache.set("thing", "yes")
    for path in ("/tmp/thing", "/home/app/thing", "thing"):
        await server.visit(preview, "/write", method="POST", params={"path": path, "text": "x"})


async def test_nothing_is_left_of_previews_that_were_removed(
    server: Server, teardown: Branches
) -> None:
    apps = {
        "plain": healthy(),
        "with-worker": healthy(**{CONFIG: '[processes]\nworker = "sleep 3600 & sleep 3600"\n'}),
        "by-schema": healthy(**{CONFIG: '[database]\nisolation = "schema"\n'}),
        "deaf": "ignores_sigterm",
        "fails": "post_deploy_fails",
    }
    before = await inventory(server)
    for branch, files in apps.items():
        teardown.write(branch, files)
    previews = await asyncio.gather(*(server.deploy("teardown", branch) for branch in apps))
    states = {preview["branch"]: preview["state"] for preview in previews}
    assert states == {**dict.fromkeys(apps, "ready"), "fails": "failed"}
    for preview in previews[:3]:
        await use(server, preview)
    during = await inventory(server)
    assert len(during.processes - before.processes) >= 8
    assert len(during.routes - before.routes) == 4
    assert len(during.databases - before.databases) == 5  # one for each, one for all schemas
    assert len(during.roles - before.roles) >= 5
    assert len(during.cache_users - before.cache_users) == 5
    assert len(during.cache_keys - before.cache_keys) == 3
    await asyncio.gather(*(server.remove(preview["name"]) for preview in previews))
    after = await inventory(server)
    shared = {name for name in after.databases if name == "shared__teardown"}
    assert after.databases - shared == before.databases
    assert {name for name in after.schemas if not name.startswith("shared__")} == before.schemas
    assert {name for name in after.schemas if name.startswith("shared__")} <= {
        "shared__teardown.public",
        "shared__teardown.information_schema",
    }
    for field in ("processes", "groups", "folders", "routes", "cache_users", "cache_keys"):
        assert getattr(after, field) == getattr(before, field), field
    assert {name for name in after.roles if "shared" not in name} == before.roles
    for preview in previews:
        assert (await server.ask("GET", preview_path(preview["name"]))).status_code == 404


@pytest.mark.parametrize("place", ["build", "release", "start", "post-deploy"])
async def test_a_preview_is_removed_while_it_is_deployed(
    server: Server, teardown: Branches, gate: Gate, place: str
) -> None:
    command = f'"python gate.py {place}"\n'
    files = {
        "build": healthy(**gate.requirements(place)),
        "release": healthy(**gate.files, **{CONFIG: f"release = {command}"}),
        "start": healthy(**gate.app(place)),
        "post-deploy": healthy(**gate.files, **{CONFIG: f"post_deploy = {command}"}),
    }[place]
    branch = f"removed-at-{place}"
    before = await inventory(server)
    teardown.write(branch, files)
    wanted = await server.want("teardown", branch)
    visit = await gate.arrived(place)
    await server.remove(wanted["name"])
    assert visit.until is not None
    assert await inventory(server) == before
    assert not list(server.home.package_cache.glob("*/building-*"))


async def test_a_removed_preview_begins_anew(server: Server, teardown: Branches) -> None:
    teardown.write("again", healthy())
    first = await server.deploy("teardown", "again")
    await use(server, first)
    await server.remove(first["name"])
    second = await server.deploy("teardown", "again")
    assert second["state"] == "ready", second["deployment"]
    assert (second["name"], second["url"]) == (first["name"], first["url"])
    async with database_of(server, second) as database, cache_of(server, second) as cache:
        assert await rows(database, "SELECT to_regclass('things')") == [(None,)]
        assert await cache.get("thing") is None
    await server.remove(second["name"])


async def test_down_shutdown_and_serve_again(tmp_path: Path) -> None:
    """The commands: `shutdown` keeps data and leaves no process, `down --all` leaves nothing."""
    repository = Branches(tmp_path, "mine")
    repository.write("other", healthy())
    async with served(tmp_path / "home") as server:
        await server.add_project("mine", repository.path)
        empty = await inventory(server)
        main, other = await asyncio.gather(
            *(server.deploy("mine", branch) for branch in ("main", "other"))
        )
        await use(server, main)

        code, said = await server.run("shutdown")
        assert code == 0, said
        assert said.endswith("The server has stopped. Data is kept.\n")
        assert using(server.home.path) == []

        await server.start()
        for preview in (main, other):
            await answers(server, preview)
        async with database_of(server, main) as database, cache_of(server, main) as cache:
            assert await rows(database, "SELECT count(*) FROM things") == [(100,)]
            assert await cache.get("thing") == b"yes"

        code, said = await server.run("down", "--all")
        assert code == 0, said
        code, said = await server.run("list", "--json")
        assert (code, json.loads(said)) == (0, [])
        assert await inventory(server) == empty


async def answers(server: Server, preview: Json) -> None:
    async with asyncio.timeout(60):
        while (await server.visit(preview)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
