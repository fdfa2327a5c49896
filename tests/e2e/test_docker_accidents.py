"""The server is killed while containers are built, started and changed, and comes back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from docker_images import left_on_engine
from e2e.containers import admin_url, app, containers_of, docker_served
from e2e.halt import PLACES, Halt
from e2e.load import Load
from e2e.repository import Branches
from e2e.server import Json, Server, preview_path, stage_of

STAGES = ("checkout", "build", "database", "release", "health", "post-deploy")
HALTS = {"build": "build", "release": "release", "health": "start", "post-deploy": "post-deploy"}


@dataclass(frozen=True)
class Wreck:
    """A server that was killed while each of its previews was at another stage, and came back.

    `before` are the previews as they were when it was killed, `after` once all had settled.
    """

    server: Server
    halt: Halt
    before: dict[str, Json]
    after: dict[str, Json]
    commits: dict[str, str]
    load: Load


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wreck(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Wreck]:
    folder = tmp_path_factory.mktemp("wreck")
    repository = Branches(folder, "wreck")
    patient = {"HEALTH_TIMEOUT": "90", "POST_DEPLOY_TIMEOUT": "90", "GRACE": "60"}
    async with docker_served(folder / "home", patient) as server:
        halt = Halt(server.home.installation)
        apps = {stage: halt.app(place) for stage, place in HALTS.items()}
        apps["checkout"] = app(**{f"data/{number}.txt": str(number) for number in range(4000)})
        apps["database"] = apps["live"] = app()
        await server.add_project("wreck", repository.path)
        commits = {name: repository.write(name, files) for name, files in apps.items()}
        live = await server.deploy("wreck", "live")
        assert live["state"] == "ready", live["deployment"]

        for stage, place in HALTS.items():
            await server.want("wreck", stage)
            await halt.arrived(place)
        async with (
            Load(server, live) as load,
            await psycopg.AsyncConnection.connect(admin_url(server, "db")) as admin,
        ):
            await admin.execute("LOCK TABLE pg_authid IN EXCLUSIVE MODE")
            await server.want("wreck", "database")
            await server.stage("wreck/database", "database")
            await server.want("wreck", "checkout")
            await server.stage("wreck/checkout", "checkout")
            before = dict(server.previews)
            await server.kill()
            await load.goes_on()
            await admin.rollback()

            async with halt.open():
                await server.start()
                after = {
                    name: await server.until(name, lambda now: now["state"] == "ready")
                    for name in before
                }
            await load.goes_on()
        yield Wreck(server, halt, before, after, commits, load)


@pytest.mark.parametrize("stage", STAGES)
async def test_a_server_killed_at_a_stage_reaches_what_was_wanted(wreck: Wreck, stage: str) -> None:
    name = f"wreck/{stage}"
    first, after = wreck.before[name]["deployment"], wreck.after[name]
    assert stage_of(wreck.before[name], stage)["state"] == "running"
    assert (after["state"], after["commit"]) == ("ready", wreck.commits[stage])
    assert (await wreck.server.visit(after)).status_code == 200
    deployments = await wreck.server.get(preview_path(name) + "/deployments")
    assert [one["state"] for one in deployments] == ["ready", "cancelled"]
    assert "server stopped" in deployments[1]["error"]["message"]
    assert wreck.server.left_of(first["id"]) == []


async def test_a_live_preview_answers_all_the_while(wreck: Wreck) -> None:
    assert (wreck.load.statuses, wreck.load.failures) == ({200}, [])
    before, after = wreck.before["wreck/live"], wreck.after["wreck/live"]
    assert after["deployment"] == before["deployment"]


async def test_nothing_is_left_over(wreck: Wreck) -> None:
    installation = wreck.server.home.installation
    assert {place: wreck.halt.at(place) for place in PLACES} == {place: [] for place in PLACES}
    live = {
        f"previewdrop-{installation}-{one['deployment']['id']}-web" for one in wreck.after.values()
    }
    services = {f"previewdrop-{installation}-{role}" for role in ("db", "cache")}
    found = await containers_of(installation)
    assert {one["Name"].strip("/") for one in found} == live | services
    left = await left_on_engine(installation)
    assert len([one for one in left if one.startswith("network ")]) == len(live) + 1
    assert len([one for one in left if one.startswith("volume ")]) == len(services)
    assert len(wreck.server.routes()) == len(live)


async def test_killed_again_and_again_while_it_deploys(tmp_path: Path) -> None:
    """At the end the newest commit is live, in one container."""
    repository = Branches(tmp_path, "again")
    commit = repository.write("main", app(**{"previewdrop.toml": 'post_deploy = "true"\n'}))
    async with docker_served(tmp_path / "home") as server:
        await server.add_project("again", repository.path)
        await server.want("again", "main")
        for stage in ("build", "start", "route"):

            def begun(now: Json, stage: str = stage) -> bool:
                return bool(stage_of(now, stage)) or now["state"] == "ready"

            await server.until("again/main", begun)
            await server.kill()
            await server.start()
        preview = await server.until("again/main", lambda now: now["state"] == "ready")
        assert preview["commit"] == commit
        assert (await server.visit(preview)).json()["commit"] == commit
        live = preview["deployment"]["id"]
        found = await containers_of(server.home.installation, preview="again/main")
        assert [one["Config"]["Labels"]["previewdrop.deployment"] for one in found] == [str(live)]
        for deployment in range(1, live):
            assert server.left_of(deployment) == []
