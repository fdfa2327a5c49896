"""What every Forge promises: in memory, and as GitHub by an App, by a token, and on a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from github_standin.github import GitHub as StandIn
from github_standin.server import standing_in
from previewdrop.domain.errors import Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Environment, Forge, Labelled, Refused, Status, Verdict
from previewdrop.forge.events import Delivery, Event, Pull, PullChanged, Repository
from previewdrop.forge.github.app import App
from previewdrop.forge.github.github import GitHub
from previewdrop.forge.github.host import Host
from previewdrop.forge.github.manifest import EVENTS, PERMISSIONS
from previewdrop.forge.memory import MemoryForge
from previewdrop.misbehaviour import Misbehaviour

MARK = "<!-- previewdrop: shop/pr-42 -->"
TITLE = "<b>Fix</b> `orders` | @all \U0001f680"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOWHERE = Repository(999_999, "acme/nothing", "https://github.test/acme/nothing.git")


class World(Protocol):
    """A code host with the repository `shop`, and the hands of the people who use it."""

    forge: Forge
    shop: Repository

    def open(self, branch: str, title: str = TITLE) -> Pull: ...
    def close(self, pull: Pull) -> Delivery: ...
    def write(self, pull: Pull, login: str, text: str) -> int: ...
    def texts(self, pull: Pull) -> dict[int, str]: ...
    def delete(self, comment: int) -> None: ...
    def label(self, pull: Pull, name: str, login: str) -> None: ...
    def unlabel(self, pull: Pull, name: str) -> None: ...
    def grant(self, login: str) -> None: ...
    def stranger(self, login: str) -> None: ...
    def reactions(self, comment: int) -> list[str]: ...
    def status(self, commit: str, context: str) -> tuple[str, str]: ...
    def environments(self, name: str) -> list[tuple[int, str, str, str]]: ...
    def next_commit(self, pull: Pull) -> str: ...
    def lose_answer(self, call: str, operation: str) -> None: ...
    def down(self) -> None: ...
    def limited(self, seconds: int) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.forge = self.host = MemoryForge()
        self.shop = self.host.add(Repository(7, "acme/shop", "/srv/shop.git"))

    def open(self, branch: str, title: str = TITLE) -> Pull:
        pull = Pull(
            number=len(self.host.pulls) + 42,
            title=title,
            open=True,
            merged=False,
            draft=False,
            labels=frozenset(),
            author="octocat",
            bot=False,
            base="main",
            branch=branch,
            head=f"{len(self.host.pulls) + 1:040x}",
            fork=False,
            seen=NOW,
        )
        self.host.add(self.shop, pull)
        return pull

    def close(self, pull: Pull) -> Delivery:
        closed = replace(pull, open=False)
        self.host.add(self.shop, closed)
        event = PullChanged(self.shop, closed, "closed")
        return self._arrived(event, "pull_request.closed")

    def _arrived(self, event: Event, kind: str) -> Delivery:
        headers, body = self.host.deliver(event, kind=kind)
        assert self.host.verified(headers, body)
        assert not self.host.verified(headers, body + b" ")
        return self.host.parsed(headers, body)

    def write(self, pull: Pull, login: str, text: str) -> int:
        return self.host.written(self.shop, pull.number, login, text)

    def texts(self, pull: Pull) -> dict[int, str]:
        there = self.host.comments.items()
        return {id: each.text for id, each in there if each.number == pull.number}

    def delete(self, comment: int) -> None:
        del self.host.comments[comment]

    def label(self, pull: Pull, name: str, login: str) -> None:
        key = (self.shop.id, pull.number, name.lower())
        self.host.labelled_by[key] = Labelled(login, False, datetime.now(UTC))
        self.host.add(self.shop, replace(pull, labels=pull.labels | {name}))

    def unlabel(self, pull: Pull, name: str) -> None:
        self.host.add(self.shop, replace(pull, labels=pull.labels - {name}))

    def grant(self, login: str) -> None:
        self.host.writers.add((self.shop.id, login))

    def stranger(self, login: str) -> None:
        pass

    def reactions(self, comment: int) -> list[str]:
        return [reaction for there, reaction in self.host.reactions if there == comment]

    def status(self, commit: str, context: str) -> tuple[str, str]:
        found = self.host.statuses[self.shop.id, commit, context]
        return found.verdict.value, found.description

    def environments(self, name: str) -> list[tuple[int, str, str, str]]:
        states = {
            Verdict.PENDING: "in_progress",
            Verdict.SUCCESS: "success",
            Verdict.FAILURE: "failure",
            None: "inactive",
        }
        return [
            (id, each.commit, states[each.verdict], each.url or "")
            for id, (_, each) in self.host.deployments.items()
            if each.name == name
        ]

    def next_commit(self, pull: Pull) -> str:
        return "b" * 40

    def lose_answer(self, call: str, operation: str) -> None:
        self.host.misbehave(Misbehaviour.HALFWAY, call=call, times=1)

    def down(self) -> None:
        self.host.misbehave(Misbehaviour.UNAVAILABLE, call="pull")

    def limited(self, seconds: int) -> None:
        self.host.limit = seconds
        self.host.misbehave(Misbehaviour.LIMITED, call="pull")


class OnGitHub:
    def __init__(self, host: StandIn, by: str) -> None:
        self.host = host
        self.octocat = host.user("octocat")
        self.repository = host.repository("acme/shop", {"README.md": "shop"}, private=True)
        self.repository.grant(self.octocat)
        host.webhooks.pause()
        self.app = host.app(
            "PreviewDrop",
            hook_url="http://127.0.0.1:9/webhooks/github",
            permissions={each.name: each.level for each in PERMISSIONS},
            events=EVENTS,
        )
        installation = self.app.install(self.repository.owner)
        url, name = self.repository.url, self.repository.name
        where = Host(host.web, host.api)
        secret = Secret(self.app.webhook_secret)
        if by == "token":
            self.shop = Repository(self.repository.id, name, url, private=True)
            person = host.user("admin-of-previews")
            self.repository.grant(person)
            self.forge = GitHub.by_token(where, Secret(host.token_of(person)), secret)
        else:
            self.shop = Repository(self.repository.id, name, url, True, installation.id)
            self.forge = GitHub.by_app(where, App(self.app.id, Secret(self.app.pem), secret))

    def open(self, branch: str, title: str = TITLE) -> Pull:
        made = self.repository.open_pull(
            branch,
            {f"{branch}.md": branch},
            title=title,
            by=self.octocat,
            number=len(self.repository.pulls) + 42,
        )
        told = self._arrived("pull_request.opened").events[0]
        assert isinstance(told, PullChanged)
        assert told.pull.number == made.number
        return told.pull

    def close(self, pull: Pull) -> Delivery:
        self.repository.pulls[pull.number].close()
        return self._arrived("pull_request.closed")

    def _arrived(self, kind: str) -> Delivery:
        sent = next(each for each in self.host.webhooks.of(self.app) if each.kind == kind)
        assert self.forge.verified(sent.headers, sent.body)
        assert not self.forge.verified(sent.headers, sent.body + b" ")
        return self.forge.parsed(sent.headers, sent.body)

    def write(self, pull: Pull, login: str, text: str) -> int:
        return self.repository.comment(pull.number, text, self.host.user(login)).id

    def texts(self, pull: Pull) -> dict[int, str]:
        return {each.id: each.body for each in self.repository.pulls[pull.number].comments}

    def delete(self, comment: int) -> None:
        self.repository.comments[comment].delete()

    def label(self, pull: Pull, name: str, login: str) -> None:
        self.repository.pulls[pull.number].label(name, by=self.host.user(login))

    def unlabel(self, pull: Pull, name: str) -> None:
        self.repository.pulls[pull.number].unlabel(name)

    def grant(self, login: str) -> None:
        self.repository.grant(self.host.user(login))

    def stranger(self, login: str) -> None:
        self.repository.grant(self.host.user(login), "read")

    def reactions(self, comment: int) -> list[str]:
        return [each.content for each in self.repository.comments[comment].reactions]

    def status(self, commit: str, context: str) -> tuple[str, str]:
        found = [
            each
            for each in self.repository.statuses
            if (each.sha, each.context) == (commit, context)
        ]
        return found[-1].state, found[-1].description or ""

    def environments(self, name: str) -> list[tuple[int, str, str, str]]:
        return [
            (each.id, each.payload["commit"], each.state or "", each.statuses[-1].environment_url)
            for each in self.repository.deployments.values()
            if each.environment == name
        ]

    def next_commit(self, pull: Pull) -> str:
        return self.repository.pulls[pull.number].push({"next.md": "next"})

    def lose_answer(self, call: str, operation: str) -> None:
        self.host.moods.lose_answers(only=operation, times=1)

    def down(self) -> None:
        assert self.host.server is not None
        self.host.server.unplug()

    def limited(self, seconds: int) -> None:
        self.host.moods.secondary_limit(seconds, only="pulls/get")


@contextmanager
def world_of(kind: str, folder: Path) -> Generator[World]:
    if kind == "memory":
        yield InMemory()
        return
    with standing_in(folder, enterprise=kind == "enterprise") as host:
        yield OnGitHub(host, kind)


@pytest_asyncio.fixture(params=["memory", "app", "token", "enterprise"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[World]:
    with world_of(request.param, tmp_path / "github") as world:
        yield world
        if isinstance(world.forge, GitHub):
            await world.forge.aclose()


def environment(
    pull: Pull, verdict: Verdict | None, commit: str | None = None, url: str | None = None
) -> Environment:
    return Environment(
        "shop/pr-42", pull.branch, commit or pull.head, verdict, "told", url, "https://log.test"
    )


async def test_repositories_within_reach(world: World):
    assert world.shop in await world.forge.repositories()


async def test_open_pull_requests(world: World):
    assert (await world.forge.open_pulls(world.shop)).pulls == ()
    one, two = world.open("one"), world.open("two")
    world.close(one)
    page = await world.forge.open_pulls(world.shop)
    assert page.pulls == (two,)
    assert page.pulls[0].title == TITLE


async def test_an_unchanged_list_says_so(world: World):
    world.open("one")
    first = await world.forge.open_pulls(world.shop)
    again = await world.forge.open_pulls(world.shop, first.mark)
    assert again.pulls is None
    assert again.mark == first.mark
    world.open("two")
    changed = await world.forge.open_pulls(world.shop, again.mark)
    assert changed.pulls is not None
    assert sorted(each.branch for each in changed.pulls) == ["one", "two"]
    assert changed.mark != first.mark


async def test_a_pull_request_as_it_is_now(world: World):
    pull = world.open("one")
    assert await world.forge.pull(world.shop, pull.number) == pull
    world.close(pull)
    closed = await world.forge.pull(world.shop, pull.number)
    assert closed is not None
    assert not closed.open
    assert await world.forge.pull(world.shop, 4711) is None


async def test_a_repository_out_of_reach_is_refused(world: World):
    with pytest.raises(Refused) as refused:
        await world.forge.pull(NOWHERE, 1)
    assert refused.value.missing
    with pytest.raises(Refused):
        await world.forge.open_pulls(NOWHERE)
    with pytest.raises(Refused):
        await world.forge.comment(NOWHERE, 1, MARK, "x", None)


async def test_a_webhook_is_verified_and_tells_the_change(world: World):
    pull = world.open("one")
    delivery = world.close(pull)
    assert delivery.id
    assert delivery.kind == "pull_request.closed"
    [event] = delivery.events
    assert isinstance(event, PullChanged)
    assert event.repository.id == world.shop.id
    assert not event.pull.open


async def test_who_may_write(world: World):
    world.grant("maintainer")
    world.stranger("stranger")
    assert await world.forge.may_write(world.shop, "maintainer")
    assert not await world.forge.may_write(world.shop, "stranger")
    assert not await world.forge.may_write(world.shop, "nobody-of-that-name")


async def test_a_login_shows_no_secret(world: World):
    user, password = await world.forge.login(world.shop)
    assert user
    assert password.reveal() not in repr((user, password))


async def test_one_comment_is_changed_in_place(world: World):
    pull = world.open("one")
    id = (await world.forge.comment(world.shop, pull.number, MARK, "building", None)).id
    assert world.texts(pull) == {id: f"{MARK}\nbuilding"}
    assert (await world.forge.comment(world.shop, pull.number, MARK, "ready", id)).id == id
    assert world.texts(pull) == {id: f"{MARK}\nready"}


async def test_a_comment_tells_where_and_when_it_was_changed_last(world: World):
    pull = world.open("one")
    first = await world.forge.comment(world.shop, pull.number, MARK, "building", None)
    again = await world.forge.comment(world.shop, pull.number, MARK, "ready", first.id)
    assert again.url == first.url
    assert str(first.id) in first.url
    assert again.at >= first.at


async def test_comments_that_people_wrote_lately(world: World):
    one, two = world.open("one"), world.open("two")
    asked = world.write(one, "octocat", f"/preview {TITLE}")
    await world.forge.comment(world.shop, two.number, MARK, "building", None)
    answered = world.write(two, "maintainer", "/preview stop")
    everything = await world.forge.comments_since(world.shop, datetime(2026, 1, 1, tzinfo=UTC))
    told = {each.comment: each for each in everything}
    assert told.keys() >= {asked, answered}
    first = told[asked]
    assert (first.repository, first.number, first.author) == (world.shop, one.number, "octocat")
    assert (first.body, first.bot) == (f"/preview {TITLE}", False)
    assert (told[answered].number, told[answered].author) == (two.number, "maintainer")
    assert first.at.tzinfo
    later = max(each.at for each in everything) + timedelta(seconds=1)
    assert await world.forge.comments_since(world.shop, later) == []
    with pytest.raises(Refused):
        await world.forge.comments_since(NOWHERE, later)


async def test_who_set_a_label_that_is_still_there(world: World):
    pull = world.open("one")
    assert await world.forge.labelled(world.shop, pull.number, ["ok"]) is None
    world.label(pull, "OK", "octocat")
    told = await world.forge.labelled(world.shop, pull.number, ["ok", "fine"])
    assert told is not None
    assert told.author == "octocat"
    assert await world.forge.labelled(world.shop, pull.number, ["fine"]) is None
    world.unlabel(pull, "OK")
    assert await world.forge.labelled(world.shop, pull.number, ["ok"]) is None


async def test_a_comment_is_found_without_its_id(world: World):
    pull = world.open("one")
    quoted = world.write(pull, "octocat", f"{MARK}\nquoted by somebody")
    id = (await world.forge.comment(world.shop, pull.number, MARK, "building", None)).id
    assert (await world.forge.comment(world.shop, pull.number, MARK, "ready", None)).id == id
    assert world.texts(pull) == {quoted: f"{MARK}\nquoted by somebody", id: f"{MARK}\nready"}


async def test_a_deleted_comment_is_written_again(world: World):
    pull = world.open("one")
    id = (await world.forge.comment(world.shop, pull.number, MARK, "building", None)).id
    world.delete(id)
    again = (await world.forge.comment(world.shop, pull.number, MARK, "ready", id)).id
    assert world.texts(pull) == {again: f"{MARK}\nready"}


async def test_a_lost_answer_makes_no_second_comment(world: World):
    pull = world.open("one")
    world.lose_answer("comment", "issues/create-comment")
    with pytest.raises(Unavailable):
        await world.forge.comment(world.shop, pull.number, MARK, "building", None)
    id = (await world.forge.comment(world.shop, pull.number, MARK, "ready", None)).id
    assert world.texts(pull) == {id: f"{MARK}\nready"}


async def test_two_marks_are_two_comments(world: World):
    pull = world.open("one")
    one = (await world.forge.comment(world.shop, pull.number, MARK, "one", None)).id
    two = (await world.forge.comment(world.shop, pull.number, "<!-- other -->", "two", None)).id
    assert one != two
    assert len(world.texts(pull)) == 2


async def test_a_reaction_is_made_once(world: World):
    pull = world.open("one")
    comment = world.write(pull, "octocat", "/preview")
    await world.forge.react(world.shop, comment, "eyes")
    await world.forge.react(world.shop, comment, "eyes")
    await world.forge.react(world.shop, comment, "+1")
    assert world.reactions(comment) == ["eyes", "+1"]


async def test_the_last_status_of_a_context_counts(world: World):
    pull = world.open("one")
    context = "previewdrop/shop"
    for verdict in (Verdict.PENDING, Verdict.FAILURE, Verdict.SUCCESS):
        told = Status(pull.head, context, verdict, verdict.value, "https://x.test/")
        await world.forge.status(world.shop, told)
        assert world.status(pull.head, context) == (verdict.value, verdict.value)
    await world.forge.status(world.shop, Status(pull.head, context, Verdict.PENDING, "again", None))
    assert world.status(pull.head, context) == ("pending", "again")


async def test_a_deployment_goes_from_pending_to_ready_to_gone(world: World):
    pull = world.open("one")
    forge, shop, url = world.forge, world.shop, "https://pr-42.shop.test"
    id = await forge.environment(shop, environment(pull, Verdict.PENDING), None)
    assert id is not None
    assert world.environments("shop/pr-42") == [(id, pull.head, "in_progress", "")]
    ready = environment(pull, Verdict.SUCCESS, url=url)
    assert await forge.environment(shop, ready, id) == id
    assert await forge.environment(shop, ready, None) == id
    assert world.environments("shop/pr-42") == [(id, pull.head, "success", url)]
    assert await forge.environment(shop, environment(pull, None), id) == id
    assert await forge.environment(shop, environment(pull, None), id) == id
    assert world.environments("shop/pr-42") == [(id, pull.head, "inactive", "")]


async def test_the_next_commit_takes_over_when_it_is_ready(world: World):
    pull = world.open("one")
    forge, shop = world.forge, world.shop
    first = await forge.environment(shop, environment(pull, Verdict.SUCCESS), None)
    commit = world.next_commit(pull)
    second = await forge.environment(shop, environment(pull, Verdict.PENDING, commit), first)
    assert second != first
    states = [each[2] for each in world.environments("shop/pr-42")]
    assert states == ["success", "in_progress"]
    await forge.environment(shop, environment(pull, Verdict.FAILURE, commit), second)
    states = [each[2] for each in world.environments("shop/pr-42")]
    assert states == ["success", "failure"]
    await forge.environment(shop, environment(pull, Verdict.SUCCESS, commit), second)
    states = [each[2] for each in world.environments("shop/pr-42")]
    assert states == ["inactive", "success"]


async def test_a_lost_answer_makes_no_second_deployment(world: World):
    pull = world.open("one")
    world.lose_answer("environment", "repos/create-deployment")
    with pytest.raises(Unavailable):
        await world.forge.environment(world.shop, environment(pull, Verdict.PENDING), None)
    id = await world.forge.environment(world.shop, environment(pull, Verdict.PENDING), None)
    assert [each[0] for each in world.environments("shop/pr-42")] == [id]


async def test_nothing_was_deployed_and_nothing_is_removed(world: World):
    pull = world.open("one")
    assert await world.forge.environment(world.shop, environment(pull, None), None) is None
    assert world.environments("shop/pr-42") == []


async def test_a_host_that_is_down_passes_by_itself(world: World):
    pull = world.open("one")
    world.down()
    with pytest.raises(Unavailable) as down:
        await world.forge.pull(world.shop, pull.number)
    assert down.value.seconds is None


async def test_a_limit_says_how_long_to_wait(world: World):
    pull = world.open("one")
    world.limited(30)
    with pytest.raises(Unavailable) as limited:
        await world.forge.pull(world.shop, pull.number)
    assert limited.value.seconds == 30
