"""What does not stay for ever: logs, deployments and variables of previews, and mirrors."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import func, select

from previewdrop.domain.secret import Secret
from previewdrop.misbehaviour import Misbehaviour
from previewdrop.pipeline.sweep import DEPLOYMENTS_KEPT, Sweep
from previewdrop.store.tables import LogChunk
from previewdrop.store.variables import StoredVariable
from repositories import commit, make_repository

from .conftest import Plant


def sweep(plant: Plant) -> Sweep:
    async def wake(preview_id: int) -> None:
        plant.woken.append(preview_id)

    return Sweep(plant.shop, plant.reconciler, wake)


async def chunks(plant: Plant) -> int:
    async with plant.shop.store.database.transaction() as session:
        return await session.scalar(select(func.count(LogChunk.id))) or 0


async def test_of_a_removed_preview_neither_logs_nor_variables_stay(plant: Plant) -> None:
    row = await plant.deploy()
    variables = plant.shop.store.variables
    mine = StoredVariable("A", Secret("1"), secret=True, preview=row.preview.slug)
    others = [
        StoredVariable("A", Secret("2"), secret=True),
        StoredVariable("A", Secret("3"), secret=True, preview="another"),
    ]
    await variables.put(row.project.id, [mine, *others])
    assert await chunks(plant) > 0
    await plant.shop.store.previews.unwant(row.preview.id)
    await plant.reconciler.reconcile(row.preview.id)
    assert await plant.shop.store.deployments.of(row.preview.id) == []
    assert await chunks(plant) == 0
    left = await variables.of(row.project.id)
    assert sorted(one.value.reveal() for one in left) == ["2", "3"]


async def test_a_live_preview_keeps_its_newest_deployments(plant: Plant) -> None:
    row = await plant.deploy()
    store = plant.shop.store.deployments
    for _ in range(DEPLOYMENTS_KEPT + 5):
        made = await store.begin(row.preview.id, "a" * 40, 1, None, 5)
        assert made is not None
        await store.cancelled(made.id, "A newer push replaced it.")
    unfinished = await store.begin(row.preview.id, "a" * 40, 1, None, 5)
    assert unfinished is not None
    await sweep(plant).history()
    kept = [one.id for one in await store.of(row.preview.id)]
    assert kept[0] == unfinished.id
    assert kept[-1] == row.preview.live
    assert len(kept) == DEPLOYMENTS_KEPT + 1
    assert await store.answered(row.preview.id) == row.preview.generation


async def test_mirrors_stay_as_long_as_their_project(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_repository(tmp_path / "other", "healthy")
    await plant.deploy()
    await plant.shop.checkouts.fetch(str(other), branch="main")
    mirrors = plant.shop.home.mirrors
    assert len(list(mirrors.glob("*.git"))) == 2
    await plant.shop.store.projects.add("other", str(other), {})
    await sweep(plant).mirrors()
    assert len(list(mirrors.glob("*.git"))) == 2
    await plant.shop.store.projects.forget("other")
    await plant.shop.store.projects.drop_forgotten()
    await sweep(plant).mirrors()
    assert len(list(mirrors.glob("*.git"))) == 1
    commit(plant.repository, {"note.txt": "more"})
    await plant.deploy()


async def test_what_drains_is_no_orphan(plant: Plant) -> None:
    first = await plant.deploy()
    plant.runtime.misbehave(Misbehaviour.SLOW, call="stop")
    commit(plant.repository, {"note.txt": "second"})
    await plant.deploy()
    async with asyncio.timeout(10):
        await plant.runtime.reached("stop")
    await sweep(plant).orphans()
    assert first.preview.live in plant.runtime.runs
    plant.runtime.behave()
