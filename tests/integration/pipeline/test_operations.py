"""What the API asks of the pipeline."""

from __future__ import annotations

from typing import cast

from previewdrop.pipeline.jobs import Jobs
from previewdrop.pipeline.operations import LiveOperations
from repositories import commit

from .conftest import Plant

CONFIG = 'watch = ["app/**"]\n'


async def test_a_push_that_touches_nothing_watched_does_not_concern_a_preview(
    plant: Plant,
) -> None:
    operations = LiveOperations(plant.shop, cast("Jobs", None), dict, lambda _: None)
    commit(plant.repository, {"previewdrop.toml": CONFIG})
    row = await plant.deploy()
    beside = commit(plant.repository, {"README.md": "words"})
    assert not await operations.concerned(row, beside)
    inside = commit(plant.repository, {"app/new.py": "x = 1"})
    assert await operations.concerned(row, inside)


async def test_without_watch_every_push_does(plant: Plant) -> None:
    operations = LiveOperations(plant.shop, cast("Jobs", None), dict, lambda _: None)
    row = await plant.deploy()
    assert await operations.concerned(row, commit(plant.repository, {"README.md": "words"}))
