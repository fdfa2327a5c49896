"""A server that ends and comes back finds its containers again, and no visitor notices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.containers import answers, app, containers_of, settled
from e2e.load import Load
from e2e.repository import Branches
from e2e.server import Server

CONFIG = '[processes]\nworker = "sleep 1000"\n'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def restarts(docker_server: Server, repositories_folder: Path) -> Branches:
    repository = Branches(repositories_folder, "restarts")
    await docker_server.add_project("restarts", repository.path)
    return repository


async def lives(server: Server) -> dict[str, tuple[str, str]]:
    """One run of each container of the installation, those of the data services too."""
    found = await containers_of(server.home.installation)
    return {one["Name"]: (one["Id"], one["State"]["StartedAt"]) for one in found}


async def killed(server: Server) -> None:
    await server.kill()


async def asked_to_keep_previews(server: Server) -> None:
    code, said = await server.run("shutdown", "--keep-previews")
    assert code == 0, said


@pytest.mark.parametrize("ended", [killed, asked_to_keep_previews])
async def test_containers_are_adopted_and_no_request_fails(
    docker_server: Server, restarts: Branches, ended: Callable[[Server], Awaitable[None]]
) -> None:
    commit = restarts.write("main", app(**{"previewdrop.toml": CONFIG}))
    preview = await docker_server.deploy("restarts", "main")
    assert preview["state"] == "ready", preview["deployment"]
    before = await lives(docker_server)
    assert len(before) >= 4
    async with Load(docker_server, preview) as load:
        await load.goes_on()
        await ended(docker_server)
        await load.goes_on()
        await docker_server.start()
        await load.goes_on()
        assert await lives(docker_server) == before
        assert (load.statuses, load.commits, load.failures) == ({200}, {commit}, [])

        newer = restarts.push("main", {"change.txt": "newer"})
        after = await docker_server.deploy("restarts", "main")
        await load.goes_on()
    assert (after["state"], after["commit"]) == ("ready", newer)
    assert (load.statuses, load.commits, load.failures) == ({200}, {commit, newer}, [])
    await settled(docker_server, preview["deployment"]["id"])
    await docker_server.remove(preview["name"])


async def test_a_stopped_server_stops_previews_and_the_next_one_starts_them(
    docker_server: Server, restarts: Branches
) -> None:
    restarts.write("stops", app(**{"previewdrop.toml": CONFIG}))
    preview = await docker_server.deploy("restarts", "stops")
    code, said = await docker_server.run("shutdown")
    assert code == 0, said
    running = await states(docker_server)
    assert set(running.values()) == {"exited"}, running
    await docker_server.start()
    back = await docker_server.until(preview["name"], lambda now: now["state"] == "ready")
    assert back["deployment"] == preview["deployment"]
    await answers(docker_server, preview)
    await docker_server.remove(preview["name"])


async def states(server: Server) -> dict[str, str]:
    found = await containers_of(server.home.installation)
    return {one["Name"]: one["State"]["Status"] for one in found}
