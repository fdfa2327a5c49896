"""The running server: what it stops when it ends, and what does not keep it from starting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from previewdrop.bootstrap.server import Server
from previewdrop.bootstrap.stopping import Stopping
from previewdrop.domain.secret import Secret
from previewdrop.misbehaviour import Misbehaviour
from previewdrop.pipeline.code_hosts import CodeHosts
from previewdrop.pipeline.jobs import Jobs
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.pipeline.reconcile import Reconciler
from previewdrop.web.events import Changes
from previewdrop.web.ports import Control, Operations, ServerFacts
from repositories import commit

from .conftest import Plant


@asynccontextmanager
async def running(
    plant: Plant, ports: list[int] | None = None, *, keep_previews: bool = False
) -> AsyncGenerator[Jobs]:
    """A server on the plant's drivers, which is stopped at the end of the block.

    Its port is added to `ports`.
    """
    shop, state = plant.shop, plant.shop.store.database
    jobs = Jobs(state.conninfo, shop.store, 4)
    await jobs.open()
    facts = ServerFacts("memory", plant.runtime, "http://here", "https://there")
    control = Control(shop.store, shop.settings, facts, cast("Operations", None), Secret("token"))
    operations = LiveOperations(shop, jobs, dict, lambda _: None)
    hosts = CodeHosts(shop, operations)
    server = Server(shop, jobs, Reconciler(shop, jobs.wake), Changes(state), control, hosts)
    stop = Stopping()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if ports is not None:
            ports.append(listener.getsockname()[1])
        task = asyncio.create_task(server.run(listener, stop))
        async with asyncio.timeout(20):
            while not shop.home.server_file.exists() and not task.done():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        try:
            yield jobs
        finally:
            stop.ask(keep_previews)
            await task
            await jobs.close()


async def push(plant: Plant, jobs: Jobs) -> int:
    commit(plant.repository, {"note.txt": str(len(plant.runtime.started))})
    preview_id = await plant.want()
    await jobs.wake(preview_id)
    return preview_id


async def ready(plant: Plant, preview_id: int, deployments: int) -> None:
    async with asyncio.timeout(20):
        while len(plant.edge.switches) < deployments or (  # noqa: ASYNC110 - told by no event
            (await plant.latest(preview_id)).state != "ready"
        ):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("fault", [Misbehaviour.SLOW, Misbehaviour.BROKEN])
async def test_a_deployment_that_drains_is_stopped_with_the_server(
    plant: Plant, fault: Misbehaviour
) -> None:
    async with running(plant) as jobs:
        preview_id = await push(plant, jobs)
        await ready(plant, preview_id, 1)
        plant.runtime.misbehave(Misbehaviour.SLOW, call="stop", times=1)
        if fault is Misbehaviour.BROKEN:
            plant.runtime.misbehave(fault, call="stop", times=1)
        await push(plant, jobs)
        await plant.runtime.reached("stop")
        await ready(plant, preview_id, 2)
    ends = [run.exit_code is not None for run in plant.runtime.runs.values()]
    assert ends == ([True, True] if fault is Misbehaviour.SLOW else [False, True])


async def test_previews_that_are_handed_over_go_on(plant: Plant) -> None:
    async with running(plant, keep_previews=True) as jobs:
        preview_id = await push(plant, jobs)
        await ready(plant, preview_id, 1)
    assert [run.exit_code for run in plant.runtime.runs.values()] == [None]
    async with running(plant):
        assert len(plant.runtime.started) == 1
    assert [run.exit_code for run in plant.runtime.runs.values()] == [0]


@pytest.mark.parametrize("fault", [Misbehaviour.BROKEN, Misbehaviour.UNAVAILABLE])
async def test_a_sweep_that_fails_does_not_keep_the_server_from_starting(
    plant: Plant, fault: Misbehaviour
) -> None:
    plant.database.misbehave(fault, call="sweep")
    async with running(plant):
        assert plant.shop.home.server_file.exists()


async def test_it_answers_before_it_says_so(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    listening: list[bool] = []
    ports: list[int] = []
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target == plant.shop.home.server_file:
            port = ports[0]
            with socket.socket() as client:
                listening.append(client.connect_ex(("127.0.0.1", port)) == 0)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    async with running(plant, ports):
        pass
    assert listening == [True]
