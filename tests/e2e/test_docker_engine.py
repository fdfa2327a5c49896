"""The Engine ends in the middle of things and comes back; nobody has to tell the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from docker_engine import PrivateEngine, private_engine
from e2e.containers import BASE, answers, app, docker_served, made_base, told
from e2e.halt import Halt
from e2e.repository import Branches, healthy
from e2e.server import Json, Server, preview_path

SILENT = "The Docker Engine did not answer"
IMAGES = (BASE, "postgres:18", "valkey/valkey:9.1")

DATA = """
import json, os, psycopg, valkey
with psycopg.connect(os.environ["DATABASE_URL"]) as database:
    (name,) = database.execute("SELECT current_database()").fetchone()
print(json.dumps([name, valkey.Valkey.from_url(os.environ["REDIS_URL"]).ping()]))
"""


@dataclass(frozen=True)
class Island:
    """A server on an Engine of its own, with one live preview."""

    server: Server
    engine: PrivateEngine
    repository: Branches
    live: Json

    async def is_well(self) -> None:
        """Returns when the live preview serves and has its data."""
        await answers(self.server, self.live)
        name = self.live["database"]["name"]
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await told(self.server, self.live, DATA) == [name, True]
                except AssertionError:
                    await asyncio.sleep(0.2)
                else:
                    return


@pytest.fixture(scope="module")
def loaded():
    made_base()
    with private_engine("2g") as engine:
        for tag in IMAGES:
            engine.load(tag)
        yield engine


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def island(
    loaded: PrivateEngine, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Island]:
    folder = tmp_path_factory.mktemp("island")
    repository = Branches(folder, "island")
    repository.write("live", app())
    settings = {
        "RUNTIME": "auto",
        "DOCKER_HOST": loaded.host,
        "DOCKER_SUBNETS": str(loaded.subnets),
        "HEALTH_TIMEOUT": "60",
        "POST_DEPLOY_TIMEOUT": "60",
    }
    async with docker_served(folder / "home", settings) as server:
        await server.add_project("island", repository.path)
        live = await server.deploy("island", "live")
        assert live["state"] == "ready", live["deployment"]
        yield Island(server, loaded, repository, live)


async def test_previews_serve_while_the_engine_is_dead_and_after(island: Island) -> None:
    server, live = island.server, island.live
    await island.is_well()
    island.engine.kill()
    assert (await server.visit(live)).status_code == 200
    code, said = await server.run("exec", live["name"], "--", "true")
    assert (code, said.count("\n")) == (1, 1)
    assert SILENT in said
    await asyncio.to_thread(island.engine.start)
    await island.is_well()
    after = await server.get(preview_path(live["name"]))
    assert (after["state"], after["deployment"]) == ("ready", live["deployment"])


@pytest.mark.parametrize(
    ("place", "end"),
    [("build", "stop"), ("start", "stop"), ("start", "kill"), ("post-deploy", "stop")],
)
async def test_a_deployment_gets_ready_though_the_engine_ends_in_the_middle_of_it(
    island: Island, place: str, end: str
) -> None:
    server, name = island.server, f"{place}-{end}"
    await island.is_well()
    halt = Halt(f"{server.home.installation}-{end}")
    island.repository.write(name, halt.app(place))
    wanted = await server.want("island", name)
    await halt.arrived(place)
    await asyncio.to_thread(getattr(island.engine, end))
    if place != "start":  # an app that starts has its time, with an Engine or without
        await told_of(server, wanted, SILENT)
    await asyncio.to_thread(island.engine.start)
    async with halt.open():
        preview = await server.until(wanted["name"], lambda now: now["state"] != "pending")
    assert (preview["state"], preview["waiting"]) == ("ready", None), preview["deployment"]
    assert (await server.visit(preview)).status_code == 200
    await island.is_well()
    await server.remove(preview["name"])


async def told_of(server: Server, preview: Json, sentence: str) -> None:
    """Returns when people read that sentence of a preview that is deployed."""
    async with asyncio.timeout(60):
        while sentence not in await shown(server, preview):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def shown(server: Server, preview: Json) -> str:
    """The lines of the newest deployment's log, and what the preview waits for."""
    now = await server.get(preview_path(preview["name"]))
    return "\n".join([*await server.build_log(preview), str(now["waiting"])])


async def test_each_commit_runs_where_its_repository_and_the_machine_allow(island: Island) -> None:
    """RUNTIME is auto: a Dockerfile and an Engine make a container, and nothing else does."""
    server, repository = island.server, island.repository
    await island.is_well()
    assert await runs_in(island, island.live) == {"container"}
    repository.write("without-dockerfile", healthy())
    preview = await server.deploy("island", "without-dockerfile")
    assert await runs_in(island, preview) == {"process"}
    await server.remove(preview["name"])
    await asyncio.to_thread(island.engine.stop)
    repository.write("without-engine", app())
    preview = await server.deploy("island", "without-engine")
    await asyncio.to_thread(island.engine.start)
    assert preview["state"] == "ready", preview["deployment"]
    assert await runs_in(island, preview) == {"process"}
    await server.remove(preview["name"])
    await island.is_well()


async def runs_in(island: Island, preview: Json) -> set[str]:
    """Where the web process of a preview runs."""
    label = f"previewdrop.preview={preview['name']}"
    query = {"filters": json.dumps({"label": [label]})}

    def containers() -> list[Json]:
        with island.engine.client() as client:
            return client.get("/v1.41/containers/json", params=query).raise_for_status().json()

    inside = {one["Id"] for one in await asyncio.to_thread(containers)}
    ours = list(island.server.processes(preview["deployment"]["id"]).values())
    found = {"container"} if inside else set[str]()
    if not inside and any("uvicorn" in command for command in ours):
        found.add("process")
    return found
