"""What the API asks of the pipeline."""

from __future__ import annotations

from typing import cast

import pytest

from previewdrop.domain.errors import NoAccess
from previewdrop.domain.secret import Secret
from previewdrop.pipeline.jobs import Jobs
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.store.database import StateDatabase
from repositories import commit

from .conftest import Plant
from .hub import Hub

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


async def test_a_login_that_git_refuses_is_replaced_once(
    plant: Plant, state: StateDatabase
) -> None:
    hub = Hub(plant, state)
    await hub.connect()
    tried: list[str] = []

    async def fetch(login: Secret | None) -> str:
        assert login is not None
        tried.append(login.reveal())
        if login == revoked:
            raise NoAccess("https://memory.test refused the login.")
        return "fetched"

    revoked = Secret("memory:memory-token")
    assert await hub.shop.hosts.with_login(await hub.project(), fetch) == "fetched"
    assert len(set(tried)) == len(tried) == 2


async def test_a_repository_that_no_login_opens_is_tried_no_more_than_twice(
    plant: Plant, state: StateDatabase
) -> None:
    hub = Hub(plant, state)
    await hub.connect()
    tried: list[Secret | None] = []

    async def fetch(login: Secret | None) -> None:
        tried.append(login)
        raise NoAccess("There is no repository.")

    with pytest.raises(NoAccess):
        await hub.shop.hosts.with_login(await hub.project(), fetch)
    assert len(tried) == 2
