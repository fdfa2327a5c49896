"""Followers of changes: what was missed is told again, and no end of one project ends them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from previewdrop.store.previews import PreviewRow
from previewdrop.store.store import Store
from previewdrop.web.api.streams import follow_events
from previewdrop.web.events import Change, Changes
from previewdrop.web.ports import Control

SHA = "a" * 40


class Follower:
    """What one follower has been told: (event, name, state or line)."""

    def __init__(self, control: Control, changes: Changes, only: PreviewRow | None = None) -> None:
        self.told: list[tuple[str, str, str]] = []
        self._new = asyncio.Event()
        self._task = asyncio.create_task(self._follow(follow_events(control, changes, only)))

    async def _follow(self, events: AsyncGenerator[Any]) -> None:
        async for event in events:
            data = event.data
            name = data["name"] if event.event == "preview" else data["preview"]
            last = data["state"] if event.event == "preview" else data["line"]
            self.told.append((event.event, name, last))
            self._new.set()

    async def told_of(self, *event: str) -> None:
        async with asyncio.timeout(10):
            while tuple(event) not in self.told:
                self._new.clear()
                await self._new.wait()

    async def ended(self) -> None:
        async with asyncio.timeout(10):
            await self._task

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.mark.parametrize("alone", [False, True])
async def test_missed_changes_are_told_with_their_lines(
    control: Control, changes: Changes, store: Store, main: PreviewRow, alone: bool
) -> None:
    follower = Follower(control, changes, main if alone else None)
    await follower.told_of("preview", "shop/main", "pending")
    deployment = await store.deployments.begin(main.preview.id, SHA, 1, None, 5)
    assert deployment is not None
    await store.deployments.record(deployment.id, [], [], [("build", "hello")])
    await store.previews.unwant(main.preview.id)
    changes.tell(None)
    await follower.told_of("log", "shop/main", "hello")
    await store.deployments.record(deployment.id, [], [], [("build", "world")])
    changes.tell(None)
    await follower.told_of("log", "shop/main", "world")
    assert [line for kind, _, line in follower.told if kind == "log"] == ["hello", "world"]
    await follower.stop()


async def test_a_missed_removal_is_told(
    control: Control, changes: Changes, store: Store, main: PreviewRow
) -> None:
    follower = Follower(control, changes)
    await follower.told_of("preview", "shop/main", "pending")
    await store.previews.unwant(main.preview.id)
    await store.previews.removed(main.preview.id)
    changes.tell(None)
    await follower.told_of("preview", "shop/main", "removed")
    await follower.stop()


async def test_a_project_that_goes_ends_the_streams_of_its_previews_alone(
    control: Control, changes: Changes, store: Store, main: PreviewRow
) -> None:
    every, alone = Follower(control, changes), Follower(control, changes, main)
    for follower in (every, alone):
        await follower.told_of("preview", "shop/main", "pending")
    await store.previews.unwant(main.preview.id)
    await store.previews.removed(main.preview.id)
    await store.projects.forget("shop")
    await store.projects.drop_forgotten()
    changes.tell(Change(main.preview.id))
    await alone.ended()
    await store.projects.add("blog", "/code/blog", {})
    changes.tell(Change((await store.previews.want("blog", "main", SHA)).id))
    await every.told_of("preview", "blog/main", "pending")
    await every.stop()


async def test_whoever_is_too_slow_looks_again(changes: Changes) -> None:
    with changes.follow() as queue:
        for number in range(queue.maxsize + 1):
            changes.tell(Change(number))
        assert queue.get_nowait() is None
        changes.tell(Change(7))
        assert queue.get_nowait() == Change(7)
