"""What each webhook that GitHub publishes changes in the store, and that it changes no more."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from github_standin.description import description
from previewdrop.domain.pull import Pull
from previewdrop.store.store import Store
from repositories import make_repository

from .hooks import NOWHERE, READ, example, examples, github, send, server

__all__ = ["github", "server"]

FIXTURES = Path(__file__).parents[2] / "fixtures" / "github"
FORMER = "former/name"
NUMBER = 1
Payload = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """A project, with the open pull request NUMBER and its preview before the first call.

    `pulls` are what is told of each, by number; `asks` commands; `branches` those with a preview.
    `resync` tells that the host is to be asked for everything.
    """

    name: str
    source: str
    pulls: dict[int, dict[str, object]]
    previewed: bool = True
    branches: frozenset[str] = frozenset()
    asks: tuple[tuple[int, int, str, str], ...] = ()
    resync: bool = False

    @property
    def left(self) -> Seen:
        closed = {number: told | {"open": False} for number, told in self.pulls.items()}
        return replace(self, pulls=closed, previewed=False)


class Told:
    """A repository of GitHub's examples as a project of ours, and whoever tells of it."""

    def __init__(
        self, github: httpx2.AsyncClient, server: FastAPI, store: Store, source: Path
    ) -> None:
        self._github = github
        self._resync: asyncio.Event = server.state.code_hosts.pulls.resync
        self._store = store
        self._source = source
        self._calls = 0
        self._project = ""

    async def link(self, payload: Payload) -> Seen:
        """Makes a new project of the repository that a payload is of; the last one goes."""
        if self._project:
            await self._store.projects.forget(self._project)
        self._calls += 1
        self._project = f"hello-{self._calls}"
        settings = {"github.demand": "command", "github.branches": ["master"]}
        project = await self._store.projects.add(self._project, str(self._source), settings)
        [forge] = await self._store.forges.all()
        installation = payload.get("installation", {}).get("id")
        repository = _repository(payload)
        await self._store.forges.link(project.id, forge.id, repository, FORMER, installation)
        await self._store.pulls.take(project.id, _pull())
        await self._store.previews.want(self._project, "branch", "a" * 40, NUMBER)
        self._resync.clear()
        return await self.seen()

    async def send(self, event: str, payload: Payload) -> None:
        self._calls += 1
        answer = await send(self._github, event, payload, f"d-{self._calls}")
        assert (answer.status_code, answer.json()) == (202, {"new": True}), answer.text

    async def seen(self) -> Seen:
        store, project = self._store, await self._store.projects.named(self._project)
        rows = [await store.pulls.of(project.id, number) for number in (NUMBER, 2)]
        previews = [row.preview for row in await store.previews.all(self._project)]
        asks = [each for each in await store.asks.waiting() if each.project_id == project.id]
        return Seen(
            name=project.repository_name or "",
            source=project.source,
            pulls={row.pull.number: _shown(row.pull) for row in rows if row is not None},
            previewed=any(each.present for each in previews if each.number == NUMBER),
            branches=frozenset(
                each.branch for each in previews if each.number is None and each.present
            ),
            asks=tuple((each.number, each.comment, each.author, each.verb) for each in asks),
            resync=self._resync.is_set(),
        )

    async def becomes(self, wanted: Seen) -> None:
        """Returns as soon as that is what is seen: branches are looked at beside the answer."""
        now = await self.seen()
        try:
            async with asyncio.timeout(10):
                while now != wanted:
                    await asyncio.sleep(0.02)
                    now = await self.seen()
        except TimeoutError:
            assert now == wanted


@pytest.fixture
def told(github: httpx2.AsyncClient, server: FastAPI, store: Store, tmp_path: Path) -> Told:
    source = make_repository(tmp_path, {"README.md": "Hello"}, branch="master")
    return Told(github, server, store, source)


def changed(event: str, payload: Payload, before: Seen) -> Seen:
    """What is to be seen after a call, said by the payload itself."""
    match event, payload.get("action"):
        case "pull_request", _:
            pull = payload["pull_request"]
            return replace(before, pulls=before.pulls | {pull["number"]: _of_payload(pull)})
        case "push", _ if payload["ref"].startswith("refs/heads/") and not payload["deleted"]:
            return replace(before, branches=before.branches | {payload["ref"][11:]})
        case "issue_comment", "created" if "pull_request" in payload["issue"]:
            comment = payload["comment"]
            ask = (payload["issue"]["number"], comment["id"], comment["user"]["login"], "deploy")
            return replace(before, asks=(ask,))
        case "repository", "renamed" | "transferred" | "privatized" | "publicized":
            name = payload["repository"]["full_name"]
            return replace(before, name=name, source=f"{NOWHERE}/{name}.git")
        case "repository", "created" if "installation" in payload:
            return replace(before, resync=True)
        case "installation", "created" | "unsuspend" | "new_permissions_accepted":
            return replace(before, resync=True)
        case "installation_repositories", "added":
            return replace(before, resync=True)
        case (
            ("installation", "deleted" | "suspend")
            | ("installation_repositories", "removed")
            | ("repository", "deleted")
        ):
            return before.left
        case _:
            return before


@pytest.mark.parametrize("event", READ)
async def test_every_published_example_does_what_it_says(told: Told, event: str) -> None:
    for payload in examples(event):
        before = await told.link(payload)
        await told.send(event, payload)
        await told.becomes(changed(event, payload, before))


@pytest.mark.parametrize("event", READ)
async def test_what_is_of_another_repository_changes_nothing(told: Told, event: str) -> None:
    before = await told.link({"repository": {"id": 8}, "installation": {"id": 9}})
    for payload in examples(event):
        await told.send(event, payload)
        assert await told.seen() == before


@pytest.mark.parametrize("bot", [False, True])
async def test_a_command_is_kept_unless_a_bot_wrote_it(told: Told, bot: bool) -> None:
    payload = example("issue_comment", "created")
    before = await told.link(payload)
    payload["issue"]["pull_request"] = {"url": f"{NOWHERE}/pulls/1"}
    payload["comment"]["body"] = "Looks good.\n/preview"
    payload["comment"]["user"]["type"] = "Bot" if bot else "User"
    await told.send("issue_comment", payload)
    assert await told.seen() == (before if bot else changed("issue_comment", payload, before))


async def test_a_changed_base_is_kept(told: Told) -> None:
    opened = example("pull_request", "opened")
    edited = json.loads((FIXTURES / "pull_request.edited.json").read_text())
    before = await told.link(opened)
    await told.send("pull_request", opened)
    await told.send("pull_request", edited)
    after = await told.seen()
    assert after == changed("pull_request", edited, before)
    assert after.pulls[2]["base"] == "release/1"
    # The opened one, told late, takes nothing back.
    await told.send("pull_request", opened)
    assert await told.seen() == after


def test_the_changed_base_is_what_github_describes() -> None:
    """But for the pull request itself: those of the examples are older than the description."""
    opened = example("pull_request", "opened")
    edited = json.loads((FIXTURES / "pull_request.edited.json").read_text())
    told = opened | {name: edited[name] for name in ("action", "changes")}
    wrong = description().wrong_event("pull_request", told)
    assert [each for each in wrong if not each.startswith("/pull_request")] == []
    assert edited["changes"]["base"]["ref"] == {"from": opened["pull_request"]["base"]["ref"]}


@pytest.mark.parametrize(
    ("event", "change"),
    [
        ("delete", {"ref_type": "branch", "ref": "gone"}),
        ("push", {"ref": "refs/heads/gone", "deleted": True, "head_commit": None}),
    ],
)
async def test_a_branch_that_is_gone_takes_its_preview_along(
    told: Told, store: Store, event: str, change: Payload
) -> None:
    payload = example(event)
    before = await told.link(payload)
    project = (await store.previews.all())[0].project.name
    await store.previews.want(project, "gone", "a" * 40)
    assert (await told.seen()).branches == {"gone"}
    await told.send(event, payload | change)
    await told.becomes(before)


async def test_a_deleted_repository_takes_its_previews_along(told: Told) -> None:
    payload = example("repository", "privatized") | {"action": "deleted"}
    before = await told.link(payload)
    await told.send("repository", payload)
    await told.becomes(changed("repository", payload, before))


def _repository(payload: Payload) -> int:
    """Its id, also where a payload tells of several, or of an account alone."""
    listed = (payload.get(each) for each in ("repositories_removed", "repositories_added"))
    several = next((each for each in listed if each), payload.get("repositories")) or [{"id": 7}]
    return payload.get("repository", several[0])["id"]


def _pull() -> Pull:
    return Pull(
        number=NUMBER,
        title="There before",
        open=True,
        merged=False,
        draft=False,
        labels=frozenset(),
        author="ali",
        bot=False,
        base="main",
        branch="branch",
        head="a" * 40,
        fork=False,
        seen=datetime(2019, 1, 1, tzinfo=UTC),
    )


def _shown(pull: Pull) -> dict[str, object]:
    return {
        "title": pull.title,
        "open": pull.open,
        "draft": pull.draft,
        "labels": pull.labels,
        "base": pull.base,
        "branch": pull.branch,
        "head": pull.head,
        "author": pull.author,
    }


def _of_payload(pull: Payload) -> dict[str, object]:
    return {
        "title": pull["title"],
        "open": pull["state"] == "open",
        "draft": pull["draft"],
        "labels": frozenset(each["name"] for each in pull["labels"]),
        "base": pull["base"]["ref"],
        "branch": pull["head"]["ref"],
        "head": pull["head"]["sha"],
        "author": pull["user"]["login"],
    }
