"""Previews of pull requests that are asked for by hand, in projects on a code host."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from previewdrop.domain.commands import Verb
from previewdrop.domain.pull import Pull
from previewdrop.domain.pulls import Mark
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Forge
from previewdrop.forge.events import Repository
from previewdrop.forge.memory import MemoryForge
from previewdrop.misbehaviour import Misbehaviour
from previewdrop.store.forges import StoredForge
from previewdrop.store.store import Store
from previewdrop.web.ports import Control

NOW = datetime.now(UTC)
HEAD, OTHER = "b" * 40, "c" * 40
SHOP = Repository(7, "acme/shop", "https://github.test/acme/shop.git")
PATH = "/projects/shop/previews"


@pytest.fixture
async def project(store: Store) -> int:
    await store.projects.add("shop", "https://github.test/acme/shop.git", {})
    project = await store.projects.named("shop")
    forge = await store.forges.add("memory", "https://memory.test", {"x": Secret("x")})
    await store.forges.link(project.id, forge.id, 7, "acme/shop", None)
    return project.id


@pytest.fixture
def forge() -> MemoryForge:
    return MemoryForge()


@pytest.fixture
def control(control: Control, store: Store, forge: MemoryForge) -> Control:
    """The host has only what a test gives it, and is silent until then."""
    forge.misbehave(Misbehaviour.UNAVAILABLE, call="pull")

    async def hosts() -> list[tuple[StoredForge, Forge]]:
        return [(stored, forge) for stored in await store.forges.all()]

    return replace(control, hosts=hosts)


def pull(**changes: object) -> Pull:
    facts: dict[str, object] = {"open": True, "draft": False, "labels": frozenset(), "fork": False}
    facts["head"] = HEAD
    return Pull(
        number=42,
        title="Add contact e-mail",
        merged=False,
        author="ali",
        bot=False,
        base="main",
        branch="feature",
        seen=NOW,
        **{**facts, **changes},  # pyright: ignore[reportArgumentType]
    )


async def ask(api: httpx2.AsyncClient, branch: str = "feature") -> httpx2.Response:
    return await api.post(PATH, json={"branch": branch, "number": 42})


async def test_it_counts_as_the_command(
    api: httpx2.AsyncClient, store: Store, project: int
) -> None:
    await store.pulls.take(project, pull(draft=True))
    answer = await ask(api)
    assert answer.status_code == 202
    row = await store.pulls.of(project, 42)
    assert row is not None
    [mark] = row.marks
    assert (mark.verb, mark.commit) == (Verb.DEPLOY, HEAD)
    # Taking it down and asking for it again is the later word each time.
    await api.delete("/previews/shop/pr-42")
    await ask(api)
    row = await store.pulls.of(project, 42)
    assert row is not None
    assert [each.verb for each in row.marks] == [Verb.DEPLOY, Verb.STOP, Verb.DEPLOY]


async def test_an_approved_commit_of_a_fork_gets_no_secrets(
    api: httpx2.AsyncClient, store: Store, project: int
) -> None:
    await store.pulls.take(project, pull(fork=True))
    await store.pulls.say(project, 42, Mark(NOW, Verb.APPROVE, OTHER))
    assert (await ask(api, "main")).status_code == 202
    preview = await store.previews.of_pull(project, 42)
    assert preview is not None
    assert (preview.preview.commit, preview.preview.secrets) == (OTHER, False)


@pytest.mark.parametrize(
    ("changes", "branch", "said"),
    [
        ({"open": False}, "feature", "This pull request was closed."),
        ({"labels": frozenset({"no-preview"})}, "feature", "has the label `no-preview`"),
        ({"fork": True}, "feature", f"/preview approve {HEAD}"),
        ({}, "main", "Pull request 42 is of the branch feature, not main."),
    ],
)
async def test_what_the_rules_would_undo_is_refused(
    api: httpx2.AsyncClient,
    store: Store,
    project: int,
    changes: dict[str, object],
    branch: str,
    said: str,
) -> None:
    await store.pulls.take(project, pull(**changes))
    answer = await ask(api, branch)
    assert answer.status_code == 409
    assert said in answer.text
    row = await store.pulls.of(project, 42)
    assert row is not None
    assert row.marks == ()
    assert await store.previews.of_pull(project, 42) is None


async def test_it_is_as_the_host_tells_it_now(
    api: httpx2.AsyncClient, store: Store, project: int, forge: MemoryForge
) -> None:
    await store.pulls.take(project, pull())
    forge.behave()
    later = NOW + timedelta(seconds=5)
    forge.add(SHOP, replace(pull(head=OTHER), seen=later))
    assert (await ask(api)).json()["desired_commit"] == OTHER
    row = await store.pulls.of(project, 42)
    assert row is not None
    assert [each.commit for each in row.marks] == [OTHER]
    forge.pulls[7, 42] = replace(pull(head=OTHER, open=False), seen=later + timedelta(seconds=5))
    answer = await ask(api)
    assert answer.status_code == 409
    assert "This pull request was closed." in answer.text
    del forge.pulls[7, 42]
    answer = await ask(api)
    assert answer.status_code == 404
    assert "acme/shop has no pull request 42" in answer.text


async def test_another_commit_than_the_newest_is_refused(
    api: httpx2.AsyncClient, store: Store, project: int
) -> None:
    await store.pulls.take(project, pull())
    body = {"branch": "feature", "number": 42, "commit": OTHER}
    answer = await api.post(PATH, json=body)
    assert answer.status_code == 409
    assert f"shows {HEAD[:7]}, not {OTHER[:7]}" in answer.text
    assert (await api.post(PATH, json={**body, "commit": HEAD[:12]})).status_code == 202


async def test_one_that_nobody_told_of_is_taken_at_its_word_while_the_host_is_silent(
    api: httpx2.AsyncClient, store: Store, project: int
) -> None:
    assert (await ask(api)).status_code == 202
    assert await store.previews.of_pull(project, 42) is not None
