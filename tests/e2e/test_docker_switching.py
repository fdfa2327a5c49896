"""Pushes to a preview in containers: traffic moves from one to the next, and nobody is cut off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest_asyncio

from e2e.containers import app, containers_of, engine, settled, web_of
from e2e.load import Load
from e2e.repository import Branches
from e2e.server import Json, Server

HOLDS = """

@app.get("/hold")
async def hold():
    print("holding", flush=True)
    while not Path("/tmp/go").exists():
        await asyncio.sleep(0.02)
    return {"commit": os.environ["PREVIEW_COMMIT"]}
"""


def holding(**more: str) -> dict[str, str | bytes | None]:
    """The healthy app with an answer that it holds back."""
    files = app(**more)
    main = files["main.py"]
    assert isinstance(main, bytes)
    return {**files, "main.py": main.decode() + HOLDS}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def switching(docker_server: Server, repositories_folder: Path) -> Branches:
    repository = Branches(repositories_folder, "switching")
    await docker_server.add_project("switching", repository.path)
    return repository


async def test_switches_under_load_drop_no_request(
    docker_server: Server, switching: Branches
) -> None:
    commits = [switching.write("live", app())]
    first = await docker_server.deploy("switching", "live")
    assert first["state"] == "ready", first["deployment"]
    former = [first]
    async with Load(docker_server, first, clients=4, newcomers=2) as load:
        await load.goes_on()
        for number in range(3):
            commits.append(switching.push("live", {"change.txt": str(number)}))
            former.append(await docker_server.deploy("switching", "live"))
            assert former[-1]["commit"] == commits[-1], former[-1]["deployment"]
            await load.goes_on()
        for preview in former[:-1]:
            await settled(docker_server, preview["deployment"]["id"])
        await load.goes_on()
    assert (load.statuses, load.failures) == ({200}, [])
    assert load.commits == set(commits)
    found = await containers_of(docker_server.home.installation, preview=first["name"])
    assert [one["Id"] for one in found] == [(await web_of(docker_server, former[-1]))["Id"]]
    await docker_server.remove(first["name"])


async def test_a_request_under_way_ends_at_the_container_that_began_it(
    docker_server: Server, switching: Branches
) -> None:
    old = switching.write("held", holding())
    first = await docker_server.deploy("switching", "held")
    assert first["state"] == "ready", first["deployment"]
    held = asyncio.create_task(docker_server.visit(first, "/hold", timeout=60))
    async with asyncio.timeout(30):
        while ("web", "holding") not in await docker_server.app_log(first):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    draining = await web_of(docker_server, first)
    new = switching.push("held", {"change.txt": "new"})
    second = await docker_server.deploy("switching", "held")
    assert second["state"] == "ready", second["deployment"]
    assert (await docker_server.visit(second)).json()["commit"] == new
    assert not held.done()
    await let_go(draining)
    answer = await held
    assert (answer.status_code, answer.json()) == (200, {"commit": old})
    await settled(docker_server, first["deployment"]["id"])
    await docker_server.remove(first["name"])


async def let_go(container: Json) -> None:
    """Lets a container give the answers that it holds back."""
    async with engine() as docker:
        made = await docker.post(
            f"/containers/{container['Id']}/exec", {"Cmd": ["touch", "/tmp/go"]}
        )
        await docker.post(f"/exec/{made['Id']}/start", {"Detach": True})


async def test_a_container_that_does_not_get_healthy_takes_no_traffic(
    docker_server: Server, switching: Branches
) -> None:
    good = switching.write("fails", app())
    live = await docker_server.deploy("switching", "fails")
    assert live["state"] == "ready", live["deployment"]
    switching.push("fails", {"main.py": app("exits_at_once")["main.py"]})
    async with Load(docker_server, live) as load:
        after = await docker_server.deploy("switching", "fails")
        await load.goes_on()
    assert (after["state"], after["deployment"]["state"]) == ("ready", "failed")
    assert (load.statuses, load.commits, load.failures) == ({200}, {good}, [])
    await settled(docker_server, after["deployment"]["id"])
    await docker_server.remove(live["name"])
