"""Whatever of a history arrives, in whatever order: one resync later all end up the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from previewdrop.domain.pull import Pull
from previewdrop.forge.events import PullChanged
from previewdrop.store.database import StateDatabase

from .conftest import Plant
from .hub import REPOSITORY, Hub, until

NAMES = ("push", "close", "merge", "reopen", "draft", "ready", "label", "unlabel", "stack")
RULES = {"github.drafts": False, "github.never": ["wip"], "github.bases": ["main"]}
PUSHES = 3


@dataclass(frozen=True)
class History:
    """What happened, and which of its events arrive, in which order."""

    steps: tuple[str, ...]
    arrivals: tuple[int, ...]
    same_second: bool


@st.composite
def histories(draw: st.DrawFn) -> History:
    steps = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6))
    arrivals = draw(st.lists(st.integers(0, len(steps)), max_size=9))
    return History(tuple(steps), tuple(arrivals), draw(st.booleans()))


@pytest.fixture
async def hub(plant: Plant, state: StateDatabase) -> AsyncGenerator[Hub]:
    hub = Hub(plant, state)
    await hub.connect()
    await hub.store.projects.change("shop", {**RULES, "max_previews": 500})
    async with hub.running():
        yield hub


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories())
async def test_every_history_ends_as_the_host_says(hub: Hub, history: History) -> None:
    """Each is a pull request of its own, all of them in one hub."""
    number = max((number for _, number in hub.forge.pulls), default=0) + 1
    heads = [hub.commit(f"feature-{number}") for _ in range(PUSHES)]
    snapshots = _played(hub, number, history, heads)
    hub.forge.pulls[REPOSITORY, number] = snapshots[-1]
    for arrival in history.arrivals:
        await hub.hear(PullChanged(hub.repository, snapshots[arrival], "any"))
    await hub.resync()
    said: list[object] = []
    await until(lambda: _as_wanted(hub, number, snapshots[-1], said), lambda: said)
    if await hub.preview(number) is not None:  # Redis databases are not for ever
        await hub.hear(hub.changed(number=number, open=False))
        await hub.gone(number)


async def _as_wanted(hub: Hub, number: int, pull: Pull, said: list[object]) -> bool:
    row = await hub.preview(number)
    told = await hub.store.pulls.of((await hub.project()).id, number)
    seen = row and (row.preview.state, row.preview.present, row.preview.waiting)
    said[:] = [pull, told and told.pull, told and told.reason, seen]
    wanted = pull.open and not pull.draft and pull.base == "main" and "wip" not in pull.labels
    if not wanted:
        return row is None or row.preview.state == "removed"
    if row is None or row.preview.live is None:
        return False
    live = await hub.store.deployments.get(row.preview.live)
    return row.preview.present and live.commit == pull.head == row.preview.commit


def _played(hub: Hub, number: int, history: History, heads: list[str]) -> list[Pull]:
    """The pull request after each step; the first is as it was opened."""
    now = hub.pull(heads[0], number)
    snapshots, pushes = [now], 0
    for step in history.steps:
        pushes += step == "push"
        changes: dict[str, object] = {
            "push": {"head": heads[pushes % len(heads)]},
            "close": {"open": False},
            "merge": {"open": False, "merged": True},
            "reopen": {"open": True, "merged": False},
            "draft": {"draft": True},
            "ready": {"draft": False},
            "label": {"labels": frozenset({"wip"})},
            "unlabel": {"labels": frozenset()},
            "stack": {"base": "feature/below"},
        }[step]
        later = now.seen if history.same_second else hub.pull(number=number).seen
        now = replace(now, seen=later, **changes)
        snapshots.append(now)
    return snapshots
