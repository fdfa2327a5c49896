"""Previews of pull requests that are asked for by hand, in projects on a code host."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx2
import pytest

from previewdrop.domain.commands import Verb
from previewdrop.domain.pull import Pull
from previewdrop.domain.pulls import Mark
from previewdrop.domain.secret import Secret
from previewdrop.store.store import Store

NOW = datetime.now(UTC)
HEAD, OTHER = "b" * 40, "c" * 40
PATH = "/projects/shop/previews"


@pytest.fixture
async def project(store: Store) -> int:
    await store.projects.add("shop", "https://github.test/acme/shop.git", {})
    project = await store.projects.named("shop")
    forge = await store.forges.add("memory", "https://memory.test", {"x": Secret("x")})
    await store.forges.link(project.id, forge.id, 7, "acme/shop", None)
    return project.id


def pull(**changes: object) -> Pull:
    facts: dict[str, object] = {"open": True, "draft": False, "labels": frozenset(), "fork": False}
    return Pull(
        number=42,
        title="Add contact e-mail",
        merged=False,
        author="ali",
        bot=False,
        base="main",
        branch="feature",
        head=HEAD,
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


async def test_one_that_nobody_told_of_is_taken_at_its_word(
    api: httpx2.AsyncClient, store: Store, project: int
) -> None:
    assert (await ask(api)).status_code == 202
    assert await store.previews.of_pull(project, 42) is not None
