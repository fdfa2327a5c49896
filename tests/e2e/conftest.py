"""One real server a runtime for the tests of a run, and a gate for what runs in previews."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.containers import app, docker_served
from e2e.gate import Gate
from e2e.repository import Branches
from e2e.server import Json, Server, served

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what must not be reached shall be there to be reached


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server]:
    """A server with a fresh data folder and short time limits, shared by all tests of a run."""
    async with served(tmp_path_factory.mktemp("server") / "home") as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def docker_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server]:
    """The same with the docker runtime.

    Its API listens on all addresses of this machine, it allows more CPUs than there are, and
    requests that are under way may take their time.
    """
    home = tmp_path_factory.mktemp("docker-server") / "home"
    settings = {"HOST": EVERYWHERE, "CPUS": "64", "GRACE": "30"}
    async with docker_served(home, settings) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def docker_pair(
    docker_server: Server, repositories_folder: Path
) -> AsyncGenerator[tuple[Json, Json]]:
    """Two previews of a project in containers: `mine` looks, `other` is looked for."""
    repository = Branches(repositories_folder, "containers")
    await docker_server.add_project("containers", repository.path)
    branches = ("mine", "other")
    for branch in branches:
        repository.write(branch, app(**{"secret.txt": f"of {branch}\n"}))
    pair = await asyncio.gather(*(docker_server.deploy("containers", one) for one in branches))
    assert [one["state"] for one in pair] == ["ready", "ready"], pair
    yield pair[0], pair[1]
    await asyncio.gather(*(docker_server.remove(one["name"]) for one in pair))


@pytest_asyncio.fixture
async def gate() -> AsyncGenerator[Gate]:
    """Where commands and apps of a test's previews wait until they are let on."""
    async with Gate() as gate:
        yield gate


@pytest.fixture(scope="session")
def repositories_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repositories")
