"""In whatever order a history arrives all ends up the same; with losses, one resync later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from previewdrop.domain.pull import Pull
from previewdrop.forge.events import BranchDeleted, BranchPushed, Commented, Event, PullChanged
from previewdrop.store.database import StateDatabase
from repositories import git

from .conftest import Plant
from .hub import BEGINNING, REPOSITORY, Hub, until

NAMES = ("push", "close", "merge", "reopen", "draft", "ready", "label", "unlabel", "stack")
RULES = {
    "github.drafts": False,
    "github.never": ["wip"],
    "github.bases": ["main"],
    "github.branches": ["release/*"],
}
COMMANDS = ("/preview", "/preview stop", "/preview redeploy", "/preview reset-db", "Well done")
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


@dataclass(frozen=True)
class Whole:
    """A history of which everything arrives: `order` names its events, some of them twice."""

    history: History
    commands: tuple[str, ...]
    branch: tuple[str, ...]
    order: tuple[int, ...]


@st.composite
def wholes(draw: st.DrawFn) -> Whole:
    steps = tuple(draw(st.lists(st.sampled_from(NAMES), max_size=5)))
    commands = tuple(draw(st.lists(st.sampled_from(COMMANDS), max_size=4)))
    branch = tuple(draw(st.lists(st.sampled_from(("push", "delete")), max_size=3)))
    everything = range(1 + len(steps) + len(commands) + len(branch))
    again = draw(st.lists(st.sampled_from(everything), max_size=4))
    order = draw(st.permutations([*everything, *again]))
    history = History(steps, (), draw(st.booleans()))
    return Whole(history, commands, branch, tuple(order))


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


@settings(
    max_examples=20,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(whole=wholes())
@example(Whole(History((), (), False), ("/preview stop", "/preview"), (), (0, 2, 1)))
@example(Whole(History(("push", "close"), (), True), (), (), (2, 0, 1, 0)))
@example(Whole(History((), (), False), (), ("push", "delete", "push"), (0, 1, 3, 2)))
async def test_every_order_ends_the_same_without_a_resync(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, whole: Whole
) -> None:
    """All of it is told at the same time; nobody asks for what was missed."""
    monkeypatch.setattr("previewdrop.pipeline.commands._TRY_AGAIN", 0.05)
    monkeypatch.setattr(hub.code_hosts.resync, "once", _nothing)
    number = max((number for _, number in hub.forge.pulls), default=0) + 1
    heads = [hub.commit(f"feature-{number}") for _ in range(PUSHES)]
    snapshots = _played(hub, number, whole.history, heads)
    pull = hub.forge.pulls[REPOSITORY, number] = snapshots[-1]
    branch, tip, moves = _moved(hub, f"release/{number}", whole.branch)
    events: list[Event] = [PullChanged(hub.repository, each, "any") for each in snapshots]
    events += [*_said(hub, number, whole.commands), *moves]
    await asyncio.gather(*(hub.hear(events[each]) for each in whole.order))
    await until(lambda: _calm(hub))
    row = await hub.preview(number)
    wanted = _wanted(pull, whole.commands)
    assert (row is not None and row.preview.present) == wanted
    if wanted:
        assert row is not None
        assert row.preview.commit == pull.head
        await hub.live(pull.head, number)
        await hub.hear(hub.changed(number=number, open=False))
    if row is not None:
        await hub.gone(number)
    followed = await hub.store.previews.existing("shop", branch, None)
    assert (followed.preview.commit if followed else None) == tip
    if tip is not None:
        await hub.branch_live(branch, tip)
        git(hub.plant.repository, "branch", "-D", branch)
        await hub.hear(BranchDeleted(hub.repository, branch))


async def _nothing(*, whole: bool = True) -> None:
    pass


async def _calm(hub: Hub) -> bool:
    """Whether everything that was told has been taken to its end."""
    under_way = ("pull request (", "branch (")
    asked = await hub.store.asks.waiting()
    return not asked and not any(
        task.get_name().startswith(under_way) for task in asyncio.all_tasks()
    )


def _wanted(pull: Pull, commands: Sequence[str]) -> bool:
    said = [each for each in commands if each in COMMANDS[:3]]
    if not pull.open or "wip" in pull.labels:
        return False
    if said:
        return said[-1] != "/preview stop"
    return not pull.draft and pull.base == "main"


def _said(hub: Hub, number: int, commands: Sequence[str]) -> list[Commented]:
    """One comment after the other."""
    events: list[Commented] = []
    for text in commands:
        at = hub.later()
        comment = hub.write(text, number=number, at=at)
        events.append(Commented(hub.repository, number, comment, "ali", False, text, at))
    return events


def _moved(
    hub: Hub, branch: str, moves: Sequence[str]
) -> tuple[str, str | None, list[BranchPushed | BranchDeleted]]:
    """Its name, where it is in the end, and what is told of it; a deletion of nothing is none."""
    tip: str | None = None
    events: list[BranchPushed | BranchDeleted] = []
    for move in moves:
        if move == "push":
            tip = hub.commit(branch)
            events.append(BranchPushed(hub.repository, branch, tip, "", BEGINNING))
        else:
            if tip is not None:
                git(hub.plant.repository, "branch", "-D", branch)
            tip = None
            events.append(BranchDeleted(hub.repository, branch))
    return branch, tip, events


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
