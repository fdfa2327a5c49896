"""From a webhook to a preview and back to the pull request, whatever happens on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from previewdrop.domain.commands import Verb
from previewdrop.domain.errors import Unavailable
from previewdrop.domain.pulls import Mark
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Verdict
from previewdrop.forge.events import (
    BranchDeleted,
    BranchPushed,
    CommentDeleted,
    InstallationJoined,
    InstallationLeft,
    PullChanged,
    RepositoryLeft,
    RepositoryMoved,
)
from previewdrop.misbehaviour import Misbehaviour
from previewdrop.pipeline import resync
from previewdrop.pipeline.news import digest
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.pipeline.reporter import Reporter
from previewdrop.report.status import EnvironmentStatus, Standing
from previewdrop.store.database import StateDatabase
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Project
from repositories import commit, git

from .conftest import Plant
from .hub import BEGINNING, INSTALLATION, MARK, NUMBER, REPOSITORY, Hub, until


@pytest.fixture
async def hub(plant: Plant, state: StateDatabase) -> AsyncGenerator[Hub]:
    hub = Hub(plant, state)
    await hub.connect()
    async with hub.running():
        yield hub


async def test_an_opened_pull_request_is_previewed_and_told(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    url = "https://pr-42.shop.localhost:7443"
    text = await hub.says("🚀 Preview deployed", url, f"{url}/docs", f"{url}/health")
    assert opened.pull.head[:7] in text
    status = hub.forge.statuses[REPOSITORY, opened.pull.head, "previewdrop/shop"]
    assert (status.verdict, status.url) == (Verdict.SUCCESS, url)
    [(_, environment)] = hub.forge.deployments.values()
    assert (environment.verdict, environment.url) == (Verdict.SUCCESS, url)


async def test_what_is_not_live_leads_to_the_comment(hub: Hub) -> None:
    hub.plant.runtime.misbehave(Misbehaviour.EXITS, call="ensure")
    opened = hub.changed()
    await hub.hear(opened)
    await hub.says("❌ Preview failed")
    [comment] = hub.forge.comments
    page = f"https://memory.test/acme/shop/{NUMBER}#{comment}"

    async def failed() -> bool:
        key = (REPOSITORY, opened.pull.head, "previewdrop/shop")
        status = hub.forge.statuses.get(key)
        return status is not None and (status.verdict, status.url) == (Verdict.FAILURE, page)

    await until(failed, lambda: hub.forge.statuses)
    [(_, environment)] = hub.forge.deployments.values()
    assert (environment.url, environment.log_url) == (None, page)
    assert "Full log" not in hub.comment()


async def test_the_whole_life_of_a_pull_request(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    pushed = hub.changed(hub.commit())
    await hub.hear(pushed)
    await hub.live(pushed.pull.head)
    await hub.says("🚀", pushed.pull.head[:7])
    comment = (await hub.told()).row.comment
    await hub.hear(hub.changed(open=False, merged=True))
    await hub.gone()
    await hub.says("🧹 Preview removed", "was merged")
    assert hub.plant.runtime.runs == {}
    assert hub.plant.edge.routes == {}
    assert hub.plant.database.databases == {}

    async def inactive() -> bool:
        return all(each.verdict is None for _, each in hub.forge.deployments.values())

    await until(inactive)
    await hub.hear(hub.changed(open=True, merged=False))
    await hub.live(pushed.pull.head)
    await hub.says("🚀", pushed.pull.head[:7])
    assert (await hub.told()).row.comment == comment


@pytest.mark.parametrize(
    ("settings", "without", "with_"),
    [
        ({"github.drafts": False}, {"draft": True}, {"draft": False}),
        (
            {"github.demand": "label", "github.labels": ["Try"]},
            {"labels": frozenset({"bug"})},
            {"labels": frozenset({"bug", "try"})},
        ),
        ({"github.bases": ["main", "release/*"]}, {"base": "other"}, {"base": "release/1"}),
        ({"github.never": ["wip"]}, {"labels": frozenset({"WIP"})}, {"labels": frozenset()}),
    ],
)
async def test_rules_decide_and_are_followed_both_ways(
    hub: Hub, settings: dict[str, object], without: dict[str, object], with_: dict[str, object]
) -> None:
    await hub.store.projects.change("shop", settings)
    opened = hub.changed(**without)
    await hub.hear(opened)
    await until(lambda: _has_reason(hub))
    assert await hub.preview() is None
    assert hub.comment() == ""
    await hub.hear(hub.changed(**with_))
    await hub.live(opened.pull.head)
    await hub.hear(hub.changed(**without))
    await hub.gone()
    await hub.says("🧹 Preview removed")
    await hub.hear(hub.changed(**with_))
    await hub.live(opened.pull.head)
    await hub.hear(hub.changed(**without), hub.changed(open=False))
    await hub.gone()


async def test_a_push_that_asks_to_be_skipped_leaves_what_is_live(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    await hub.hear(hub.changed(hub.commit(message="Typo\n\n[skip preview]")))
    await hub.says("Newer commit left out", opened.pull.head[:7])
    assert len(await hub.deployments()) == 1
    skipped = (await hub.told()).pull.head
    comment = await hub.say("/preview")
    await hub.live(skipped)
    await hub.reacted(comment, "+1")


async def test_a_push_that_the_host_does_not_hand_out_yet_is_read_when_it_does(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    repository = hub.plant.repository
    elsewhere = repository.with_name("elsewhere")
    git(repository.parent, "clone", "--quiet", str(repository), str(elsewhere))
    pushed = commit(elsewhere, {"note.txt": "new"}, "Typo\n\n[skip preview]")
    hub.forge.calls.clear()
    await hub.hear(hub.changed(pushed, seen=datetime.now(UTC)))
    await until(lambda: answered(hub, "login"))
    assert (await hub.told()).message is None
    git(repository, "fetch", "--quiet", str(elsewhere), pushed)
    await hub.says("Newer commit left out", opened.pull.head[:7])
    assert len(await hub.deployments()) == 1


async def test_a_commit_that_the_host_never_hands_out_fails(hub: Hub) -> None:
    await hub.hear(hub.changed("1" * 40))
    await hub.says("has no commit " + "1" * 40)


async def test_a_push_that_touches_nothing_watched_leaves_what_is_live(hub: Hub) -> None:
    head = hub.commit(**{"previewdrop.toml": 'watch = ["app/**"]\n'})
    await hub.hear(hub.changed(head))
    await hub.live(head)
    await hub.hear(hub.changed(hub.commit(**{"README.md": "words"})))
    await hub.says("changes no file that", head[:7])
    unwatched = (await hub.told()).pull.head
    await hub.hear(hub.changed(open=False))
    await hub.gone()
    await hub.hear(hub.changed(open=True))
    await hub.live(unwatched)


async def test_only_approved_commits_of_a_fork_run(hub: Hub) -> None:
    first = hub.changed(fork=True, author="eve", branch="theirs")
    await hub.hear(first)
    await hub.asks_about(first.pull.head)
    assert await hub.preview() is None
    status = hub.forge.statuses[REPOSITORY, first.pull.head, "previewdrop/shop"]
    assert status.verdict is Verdict.PENDING
    for command in ("/preview", "/preview redeploy"):
        await hub.reacted(await hub.say(command), "confused")
    await hub.reacted(await hub.say("/preview approve", author="eve"), "confused")
    assert await hub.preview() is None
    await hub.reacted(await hub.say("/preview approve"), "+1")
    row = await hub.live(first.pull.head)
    assert not row.preview.secrets
    second = hub.changed(hub.commit())
    await hub.hear(second)
    await hub.says("🚀", first.pull.head[:7], "🔒 Approval needed", second.pull.head)
    assert len(await hub.deployments()) == 1
    await hub.reacted(await hub.say(f"/preview approve {second.pull.head}"), "+1")
    await hub.live(second.pull.head)


async def test_an_approval_is_of_the_commit_that_was_shown_when_it_was_written(hub: Hub) -> None:
    first = hub.changed(fork=True, author="eve")
    await hub.hear(first)
    await hub.asks_about(first.pull.head)
    hub.forge.misbehave(Misbehaviour.SLOW, call="may_write", times=1)
    approval = await hub.say("/preview approve")
    await hub.forge.reached("may_write")
    evil = hub.changed(hub.commit())
    await hub.hear(evil)
    await hub.asks_about(evil.pull.head)
    hub.forge.behave()
    await hub.reacted(approval, "confused")
    assert "not the newest commit" in hub.answer(approval)
    # Nor does it while our comment still asks about the former one.
    hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="comment", times=1)
    third = hub.changed(hub.commit())
    await hub.hear(third)
    await hub.reason("unapproved")
    await hub.reacted(await hub.say("/preview approve " + evil.pull.head[:8]), "confused")
    assert await hub.preview() is None


async def test_an_approval_that_arrives_late_is_of_no_later_commit(hub: Hub) -> None:
    first = hub.changed(fork=True, author="eve")
    await hub.hear(first)
    await hub.asks_about(first.pull.head)
    written = datetime.now(UTC)
    evil = hub.changed(hub.commit())
    await hub.hear(evil)
    await hub.asks_about(evil.pull.head)
    late = await hub.say("/preview approve", at=written)
    await hub.reacted(late, "confused")
    assert evil.pull.head in hub.answer(late)
    assert await hub.preview() is None
    await hub.reacted(await hub.say("/preview approve"), "+1")
    await hub.live(evil.pull.head)


async def test_commands_count_in_the_order_in_which_they_were_written(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    now = datetime.now(UTC)
    await hub.reacted(await hub.say("/preview", at=now), "+1")
    await hub.reacted(await hub.say("/preview stop", at=now - timedelta(seconds=9)), "+1")
    assert (await hub.live(opened.pull.head)).preview.present


async def test_a_label_approves_what_was_asked_about_when_it_was_set(hub: Hub) -> None:
    first = hub.changed(fork=True, author="eve")
    await hub.hear(first)
    await hub.asks_about(first.pull.head)
    await hub.says("or set the label `approve-preview`")
    await hub.hear(hub.label("Approve-Preview", author="eve"))
    await until(lambda: answered(hub, "may_write"))
    await hub.hear(hub.label("approve-preview", bot=True))
    one = hub.now
    await hub.hear(hub.label("approve-preview", at=one))
    row = await hub.live(first.pull.head)
    assert not row.preview.secrets
    # It stays on, and is no approval of what is pushed after it, whoever else sets one.
    second = hub.changed(hub.commit())
    await hub.hear(second)
    await hub.asks_about(second.pull.head)
    await hub.says("take the label `Approve-Preview`, `approve-preview` off and set it again")
    await hub.resync()
    # A webhook that is lost loses nothing.
    two = hub.now + timedelta(minutes=2)
    hub.label("approve-preview", at=two)
    await hub.resync()
    await hub.live(second.pull.head)
    assert (await hub.told()).marks == (
        Mark(one, Verb.APPROVE, first.pull.head),
        Mark(two, Verb.APPROVE, second.pull.head),
    )


async def test_a_label_approves_nothing_but_the_newest_commit(hub: Hub) -> None:
    first = hub.changed(fork=True, author="eve")
    await hub.hear(first)
    await hub.asks_about(first.pull.head)
    hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="comment")
    second = hub.changed(hub.commit())
    await hub.hear(second)
    await hub.hear(hub.label("approve-preview", at=datetime.now(UTC)))
    hub.forge.behave()
    await hub.asks_about(second.pull.head)
    at = hub.now
    await hub.hear(hub.label("approve-preview", at=at))
    await hub.live(second.pull.head)
    assert (await hub.told()).marks == (Mark(at, Verb.APPROVE, second.pull.head),)


async def test_an_approval_is_of_what_its_author_sees(hub: Hub) -> None:
    """Also where the webhook of a push was lost."""
    first = hub.changed(fork=True, author="eve")
    await hub.hear(first)
    await hub.asks_about(first.pull.head)
    unheard = hub.changed(hub.commit())
    asked = await hub.say("/preview approve")
    await hub.reacted(asked, "confused")
    assert unheard.pull.head in hub.answer(asked)
    assert await hub.preview() is None


async def test_an_approval_in_the_minute_of_the_question_has_not_read_it(hub: Hub) -> None:
    first = hub.changed(fork=True, author="eve")
    await hub.hear(first)
    await hub.asks_about(first.pull.head)
    hasty = await hub.say("/preview approve", at=datetime.now(UTC) + timedelta(seconds=50))
    await hub.reacted(hasty, "confused")
    assert f"/preview approve {first.pull.head}" in hub.answer(hasty)
    await hub.reacted(await hub.say(f"/preview approve {first.pull.head}"), "+1")
    await hub.live(first.pull.head)


async def test_a_host_that_does_not_know_of_a_label_yet_is_asked_again(hub: Hub) -> None:
    first = hub.changed(fork=True, author="eve")
    await hub.hear(first)
    await hub.asks_about(first.pull.head)
    labelled = hub.label("approve-preview")
    late = hub.forge.labelled_by.popitem()
    await hub.hear(labelled)
    await until(lambda: answered(hub, "labelled"))
    hub.forge.labelled_by.update([late])
    await hub.live(first.pull.head)


async def test_a_label_that_is_on_is_asked_about_once(hub: Hub) -> None:
    hub.pull(fork=True, author="eve")
    opened = hub.label("approve-preview", at=BEGINNING)
    await hub.hear(opened)
    await hub.asks_about(opened.pull.head)
    for _ in range(3):
        await hub.resync()
    await hub.hear(hub.changed(title="Other words"))
    await until(lambda: answered(hub, "labelled"))
    for _ in range(3):
        await hub.resync()
    assert hub.forge.calls.count("labelled") <= 2
    assert (await hub.told()).marks == ()


async def answered(hub: Hub, call: str) -> bool:
    return call in hub.forge.calls


async def has_status(hub: Hub, head: str, verdict: Verdict) -> bool:
    status = hub.forge.statuses.get((REPOSITORY, head, "previewdrop/shop"))
    return status is not None and status.verdict is verdict


async def test_stop_and_start_by_command(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    await hub.reacted(await hub.say("/preview stop"), "+1")
    await hub.gone()
    await hub.says("🧹 Preview removed", "/preview stop")
    await hub.hear(hub.changed(hub.commit()))
    await hub.reason("stopped")
    assert await hub.deployments() == []
    await hub.reacted(await hub.say("/preview redeploy"), "+1")
    await hub.live((await hub.told()).pull.head)


async def test_commands_that_ask_once(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    await hub.reacted(await hub.say("/preview redeploy"), "+1")

    async def twice() -> bool:
        return [each.state for each in await hub.deployments()] == ["ready", "ready"]

    await until(twice)
    created = len(hub.plant.database.calls)
    await hub.reacted(await hub.say("/preview reset-db"), "+1")

    async def thrice() -> bool:
        return [each.state for each in await hub.deployments()] == ["ready"] * 3

    await until(thrice)
    assert "remove" in hub.plant.database.calls[created:]
    logs = await hub.say("/preview logs")
    await hub.reacted(logs, "+1")
    assert "detect | " in hub.answer(logs)
    for text, reaction in (("/preview help", "+1"), ("/preview dance", "confused")):
        asked = await hub.say(text)
        await hub.reacted(asked, reaction)
        assert "/preview approve" in hub.answer(asked)


async def test_a_commit_that_failed_is_tried_again_when_somebody_asks(hub: Hub) -> None:
    hub.plant.runtime.misbehave(Misbehaviour.EXITS, call="ensure", times=1)
    opened = hub.changed()
    await hub.hear(opened)
    await hub.says("❌ Preview failed")
    await hub.reacted(await hub.say("/preview"), "+1")
    await hub.live(opened.pull.head)
    await hub.reacted(await hub.say("/preview"), "+1")
    assert [each.state for each in await hub.deployments()] == ["ready", "failed"]


@pytest.mark.parametrize("lost", ["react", "changed"])
@pytest.mark.parametrize("command", ["reset-db", "redeploy"])
async def test_a_command_is_done_once_however_often_its_author_cannot_be_told(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, command: str, lost: str
) -> None:
    monkeypatch.setattr("previewdrop.pipeline.commands._TRY_AGAIN", 0.05)
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    before = await hub.live(opened.pull.head)
    if lost == "react":
        hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="react", times=3)
    else:
        changed = LiveOperations.changed
        failures = iter(range(2))

        async def failing(operations: LiveOperations, preview_id: int) -> None:
            if next(failures, None) is not None:
                raise Unavailable("The job queue does not answer.")
            await changed(operations, preview_id)

        monkeypatch.setattr(LiveOperations, "changed", failing)
    await hub.reacted(await hub.say(f"/preview {command}"), "+1")
    after = await hub.preview()
    assert after is not None
    assert after.preview.generation == before.preview.generation + 1


async def test_every_project_of_a_repository_answers(hub: Hub) -> None:
    await hub.store.projects.add("back", str(hub.plant.repository), {})
    await hub.connect("back")
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    asked = await hub.say("/preview help")

    async def answered() -> bool:
        return all("/preview approve" in hub.answer(asked, name) for name in ("shop", "back"))

    await until(answered, lambda: hub.forge.comments)


async def test_commands_that_nobody_told_of_are_found(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    before = await hub.live(opened.pull.head)
    now = datetime.now(UTC)
    old = hub.write("/preview stop", at=now - timedelta(days=2))
    too_early = hub.write("/preview stop", at=now - timedelta(hours=1))
    hub.write("Just words")
    told = await hub.say("/preview logs")
    missed = hub.write("/preview redeploy")
    for _ in range(3):
        await hub.resync()
    await hub.reacted(told, "+1")
    await hub.reacted(missed, "+1")
    await hub.resync()
    after = await hub.live(opened.pull.head)
    assert after.preview.generation == before.preview.generation + 1
    assert {old, too_early}.isdisjoint(comment for comment, _ in hub.forge.reactions)


async def test_people_without_write_access_get_a_reaction_and_nothing_else(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    await hub.says("🚀")
    before = {each.text for each in hub.forge.comments.values()}
    for verb in ("", "redeploy", "stop", "reset-db", "logs", "help", "approve"):
        comment = await hub.say(f"/preview {verb}", author="eve")
        before.add(f"/preview {verb}")
        await hub.reacted(comment, "confused")
    assert {each.text for each in hub.forge.comments.values()} == before
    assert (await hub.told()).marks == ()
    assert len(await hub.deployments()) == 1


async def test_a_command_waits_for_the_host_and_keeps_its_place(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("previewdrop.pipeline.commands._TRY_AGAIN", 0.05)
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="may_write", times=1)
    stop = await hub.say("/preview stop")
    start = await hub.say("/preview")
    await hub.reacted(stop, "+1")
    await hub.reacted(start, "+1")
    assert [mark.verb for mark in sorted((await hub.told()).marks, key=lambda m: m.at)] == [
        "stop",
        "deploy",
    ]
    await hub.live(opened.pull.head)


async def test_a_closed_one_stays_closed_whatever_comes_late(hub: Hub) -> None:
    opened, pushed = hub.changed(), hub.changed(hub.commit())
    await hub.hear(hub.changed(open=False), pushed, opened)
    await hub.reason("closed")
    assert await hub.preview() is None
    assert hub.comment() == ""


async def test_closed_during_a_build(hub: Hub) -> None:
    hub.plant.builder.misbehave(Misbehaviour.SLOW)
    opened = hub.changed()
    await hub.hear(opened)
    await hub.plant.builder.reached()
    await hub.says("⏳")
    await hub.hear(hub.changed(open=False))
    await hub.gone()
    hub.plant.builder.behave()
    await hub.says("🧹 Preview removed")
    assert hub.plant.runtime.runs == {}

    async def ended() -> bool:
        status = hub.forge.statuses[REPOSITORY, opened.pull.head, "previewdrop/shop"]
        return status.verdict is Verdict.FAILURE

    await until(ended)


async def test_what_expired_once_does_not_stay_away_for_ever(hub: Hub) -> None:
    first = hub.changed()
    await hub.hear(first)
    await hub.expire(await hub.live(first.pull.head))
    await hub.gone()
    await hub.resync()
    await hub.reason("expired")
    second = hub.changed(hub.commit())
    await hub.hear(second)
    await hub.live(second.pull.head)
    await hub.hear(hub.changed(first.pull.head))
    await hub.expire(await hub.live(first.pull.head))
    await hub.gone()
    await hub.hear(hub.changed(open=False))
    await hub.reason("closed")
    await hub.hear(hub.changed(open=True))
    await hub.live(first.pull.head)


async def test_a_close_does_not_wait_for_a_host_that_wants_fewer_calls(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    hub.forge.limit = 3600
    hub.forge.misbehave(Misbehaviour.LIMITED, call="login")
    asked = hub.forge.calls.count("login")
    await hub.hear(*(hub.changed(hub.commit()) for _ in range(20)))
    await until(lambda: many(hub, "login", asked + 1))
    await hub.hear(hub.changed(open=False, merged=True))
    await hub.gone()
    assert hub.forge.calls.count("login") <= asked + 3


@pytest.mark.parametrize("how", [Misbehaviour.REFUSED, Misbehaviour.LIMITED])
async def test_a_close_in_doubt_does_not_wait_for_a_host_that_does_not_tell(
    hub: Hub, how: Misbehaviour
) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    hub.forge.limit = 3600
    hub.forge.misbehave(how, call="pull")
    closed = hub.changed(open=False, merged=True, seen=opened.pull.seen)
    await hub.hear(closed)
    await hub.gone()
    # What the host says when it speaks again counts more.
    hub.pull(open=True, merged=False, seen=opened.pull.seen)
    hub.forge.behave()
    await hub.hear(closed)
    await hub.live(opened.pull.head)


async def many(hub: Hub, call: str, times: int) -> bool:
    return hub.forge.calls.count(call) >= times


async def test_a_fork_that_may_not_be_previewed_any_more_waits_for_no_host(hub: Hub) -> None:
    opened = hub.changed(fork=True, author="eve")
    await hub.hear(opened)
    await hub.asks_about(opened.pull.head)
    await hub.reacted(await hub.say("/preview approve"), "+1")
    await hub.live(opened.pull.head)
    pushed = hub.changed(hub.commit())
    await hub.hear(pushed)
    await hub.asks_about(pushed.pull.head)
    hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="labelled")
    await hub.hear(hub.label("approve-preview"))
    await hub.hear(hub.label("no-preview"))
    await hub.gone()


async def test_a_repeated_delivery_does_nothing_twice(hub: Hub) -> None:
    headers, body = hub.forge.deliver(hub.changed())
    assert await hub.code_hosts.hear("memory", headers, body) is True
    assert await hub.code_hosts.hear("memory", headers, body) is False
    await hub.live((await hub.told()).pull.head)
    assert await hub.code_hosts.hear("memory", headers, body) is False
    assert len(await hub.deployments()) == 1


async def test_a_burst_of_fifty_pushes_is_two_deployments(hub: Hub) -> None:
    heads = [hub.commit() for _ in range(50)]
    events = [hub.changed(head) for head in heads]
    await hub.hear(*events)
    await hub.live(heads[-1])
    await hub.says("🚀", heads[-1][:7])
    assert len(await hub.deployments()) <= 2


async def test_a_burst_within_one_second_ends_at_the_hosts_newest(hub: Hub) -> None:
    heads = [hub.commit() for _ in range(20)]
    events = [replace(hub.changed(head).pull, seen=BEGINNING) for head in heads]
    hub.forge.pulls[REPOSITORY, NUMBER] = events[-1]
    await hub.hear(*(PullChanged(hub.repository, each, "synchronize") for each in events))
    await hub.live(heads[-1])
    assert len(await hub.deployments()) <= 2
    assert 1 <= hub.forge.calls.count("pull") <= 2


async def test_nothing_is_green_before_it_answers_through_the_edge(hub: Hub) -> None:
    hub.outside = False
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)

    async def asked() -> bool:
        return hub.asked_outside > 1

    await until(asked)
    assert "🚀" not in hub.comment()
    verdicts = [each.verdict for each in hub.forge.statuses.values()]
    verdicts += [each.verdict for _, each in hub.forge.deployments.values()]
    assert Verdict.SUCCESS not in verdicts
    hub.outside = True
    await hub.says("🚀")


async def test_what_is_not_green_does_not_wait_for_the_edge(hub: Hub) -> None:
    hub.outside = False
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    hub.plant.runtime.misbehave(Misbehaviour.EXITS, times=1)
    await hub.hear(hub.changed(hub.commit()))
    head = (await hub.told()).pull.head
    text = await hub.says("❌ Preview failed", head[:7])
    assert "🚀" not in text
    await until(lambda: has_status(hub, head, Verdict.FAILURE))
    hub.outside = True
    await hub.says("🚀", opened.pull.head[:7], "❌ Newer commit failed", head[:7])


async def test_what_was_green_before_a_restart_keeps_nothing_from_being_told(
    plant: Plant, state: StateDatabase
) -> None:
    hub = Hub(plant, state)
    await hub.connect()
    async with hub.running():
        opened = hub.changed()
        await hub.hear(opened)
        await hub.says("🚀")
    hub.outside, asked = False, hub.asked_outside
    async with hub.running():
        plant.runtime.misbehave(Misbehaviour.EXITS, times=1)
        head = hub.commit()
        await hub.hear(hub.changed(head))
        await hub.says("🚀", opened.pull.head[:7], "❌ Newer commit failed", head[:7])
        await until(lambda: has_status(hub, head, Verdict.FAILURE))
    assert hub.asked_outside == asked


async def test_a_failed_push_is_told_beside_what_is_live(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    hub.plant.runtime.misbehave(Misbehaviour.EXITS, times=1)
    await hub.hear(hub.changed(hub.commit()))
    head = (await hub.told()).pull.head
    await hub.says("🚀", opened.pull.head[:7], "❌ Newer commit failed", head[:7])
    status = hub.forge.statuses[REPOSITORY, head, "previewdrop/shop"]
    assert status.verdict is Verdict.FAILURE
    assert "Still live" in status.description


async def test_a_deleted_comment_is_made_again(hub: Hub) -> None:
    await hub.hear(hub.changed())
    await hub.says("🚀")
    hub.forge.comments.clear()
    head = hub.commit()
    await hub.hear(hub.changed(head))
    await hub.says("🚀", head[:7])


async def test_a_comment_that_is_told_to_be_deleted_is_made_again_at_once(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.says("🚀")
    comment = await kept_comment(hub)
    theirs = hub.forge.written(hub.repository, NUMBER, "ali", "Nice")
    del hub.forge.comments[theirs], hub.forge.comments[comment]
    await hub.hear(*(CommentDeleted(hub.repository, NUMBER, each) for each in (theirs, comment)))
    await hub.says("🚀", opened.pull.head[:7])
    assert await kept_comment(hub) != comment


async def kept_comment(hub: Hub) -> int:
    """Its id, as soon as it is known."""

    async def known() -> bool:
        return (await hub.told()).row.comment in hub.forge.comments

    await until(known)
    comment = (await hub.told()).row.comment
    assert comment is not None
    return comment


@pytest.mark.parametrize(
    "how", [Misbehaviour.UNAVAILABLE, Misbehaviour.HALFWAY, Misbehaviour.LIMITED, Misbehaviour.SLOW]
)
async def test_a_host_that_fails_us_fails_no_deployment_and_is_told_later(
    hub: Hub, how: Misbehaviour
) -> None:
    hub.forge.limit = 0.2
    for call in ("comment", "status", "environment"):
        hub.forge.misbehave(how, call=call)
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    assert how is Misbehaviour.HALFWAY or hub.comment() == ""
    hub.forge.behave()
    await hub.says("🚀", opened.pull.head[:7])


async def test_a_deployment_that_was_made_in_silence_is_ended(
    plant: Plant, state: StateDatabase
) -> None:
    hub = Hub(plant, state)
    await hub.connect()
    hub.forge.misbehave(Misbehaviour.HALFWAY, call="environment", times=1)
    hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="environment")
    hub.forge.misbehave(Misbehaviour.REFUSED, call="comment")
    async with hub.running():
        await hub.hear(hub.changed())

        async def made() -> bool:
            return bool(hub.forge.deployments)

        await until(made)
        await hub.hear(hub.changed(open=False))
        await hub.gone()
    [(_, listed)] = hub.forge.deployments.values()
    assert listed.verdict is not None
    assert (await hub.told()).row.environment is None
    hub.forge.behave()
    async with hub.running():

        async def inactive() -> bool:
            [(_, listed)] = hub.forge.deployments.values()
            return listed.verdict is None

        await until(inactive, lambda: hub.forge.deployments)


async def test_a_permission_that_is_missing_keeps_only_its_own_part_away(hub: Hub) -> None:
    hub.forge.misbehave(Misbehaviour.REFUSED, call="environment")
    hub.forge.misbehave(Misbehaviour.REFUSED, call="status")
    await hub.hear(hub.changed())
    await hub.says("🚀")
    assert hub.forge.deployments == {}


async def test_a_server_that_comes_back_tells_what_was_not_told(
    plant: Plant, state: StateDatabase
) -> None:
    hub = Hub(plant, state)
    await hub.connect()
    async with hub.running():
        await hub.hear(hub.changed())
        await hub.says("🚀")
        hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="comment")
        await hub.hear(hub.changed(open=False, merged=True))
        await hub.gone()
        assert "🧹 Preview removed" not in hub.comment()
    hub.forge.behave()
    async with hub.running():
        await hub.says("🧹 Preview removed")

        async def over() -> bool:
            return await hub.store.pulls.unsettled((await hub.project()).id) == []

        await until(over)


async def test_what_was_told_is_not_told_again_after_a_restart(
    plant: Plant, state: StateDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(plant, state)
    await hub.connect()
    async with hub.running():
        await hub.hear(hub.changed())
        text = await hub.says("🚀")

        async def kept() -> bool:
            told = (await hub.told()).row.told
            [(_, listed)] = hub.forge.deployments.values()
            environment = EnvironmentStatus(
                *(listed.name, listed.ref, listed.commit, Standing(str(listed.verdict))),
                *(listed.description, listed.url, told.get("page")),
            )
            said = digest(text.removeprefix(f"{MARK}\n")), digest(environment)
            return (told.get("comment"), told.get("environment")) == said

        await until(kept)
    looked, asked, tell = 0, hub.asked_outside, Reporter._tell

    async def telling(*told: Any) -> None:
        nonlocal looked
        await tell(*told)
        looked += 1

    async def again() -> bool:
        return looked > 0

    monkeypatch.setattr(Reporter, "_tell", telling)
    async with hub.running():
        await hub.resync()
        await until(again)
    assert hub.asked_outside == asked
    assert {"comment", "status", "environment"}.isdisjoint(hub.forge.calls)


async def test_a_resync_finds_what_an_hour_without_events_missed(hub: Hub) -> None:
    kept, closed = hub.pull(number=1), hub.pull(number=2, branch="other")
    await hub.hear(*(PullChanged(hub.repository, each, "opened") for each in (kept, closed)))
    for number in (1, 2):
        await hub.live(kept.head if number == 1 else closed.head, number)
    pushed = hub.pull(hub.commit(), number=1)
    hub.pull(number=2, open=False)
    hub.forge.pulls.pop((REPOSITORY, 2))
    opened = hub.pull(number=3, branch="third")
    await hub.resync()
    await hub.gone(2)
    await hub.live(pushed.head, 1)
    await hub.live(opened.head, 3)
    await hub.says("🧹", number=2)


async def test_a_resync_overtakes_what_is_just_decided(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    previews = hub.store.previews
    reached, gate, look = asyncio.Event(), asyncio.Event(), previews.of_pull

    async def slow(project_id: int, number: int) -> PreviewRow | None:
        row = await look(project_id, number)
        if not reached.is_set() and (await hub.told()).message is not None:
            reached.set()
            await gate.wait()
        return row

    monkeypatch.setattr(previews, "of_pull", slow)
    await hub.hear(hub.changed())
    await reached.wait()
    hub.pull(open=False)
    await hub.resync()
    gate.set()
    await hub.gone()


async def test_a_resync_costs_two_requests_where_nothing_changed(hub: Hub) -> None:
    await hub.hear(hub.changed())
    await hub.says("🚀")
    await hub.resync()
    await hub.resync()
    row = await hub.preview()
    assert row is not None
    calls = len(hub.forge.calls)
    await hub.resync(whole=False)
    again = await hub.preview()
    assert again is not None
    assert again.preview.pushed_at == row.preview.pushed_at
    assert hub.forge.calls[calls:] == ["open_pulls", "comments_since"]


async def test_a_renamed_repository_is_followed(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.live(opened.pull.head)
    moved = replace(hub.repository, name="acme/store", url=f"file://{hub.plant.repository}")
    hub.forge.add(moved)
    await hub.hear(RepositoryMoved(moved))
    project = await hub.project()
    assert (project.repository_name, project.source) == (moved.name, moved.url)
    lost = hub.forge.add(replace(moved, name="acme/mall", url=str(hub.plant.repository)))
    await hub.resync()
    assert (await hub.project()).repository_name == lost.name
    head = hub.commit()
    await hub.hear(hub.changed(head))
    await hub.live(head)


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("kind", ["repository", "installation"])
async def test_what_is_out_of_reach_has_no_previews(
    hub: Hub, kind: str, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hub.hear(hub.changed())
    await hub.says("🚀")
    hub.forge.known.clear()
    if lost:
        await hub.resync()
        row = await hub.preview()
        assert row is not None
        assert row.preview.present
        await hub.resync()
        row = await hub.preview()
        assert row is not None
        assert row.preview.present
        monkeypatch.setattr(resync, "MISSING_FOR", 0.0)
        await hub.resync()
    elif kind == "repository":
        await hub.hear(RepositoryLeft(hub.repository))
    else:
        await hub.hear(InstallationLeft(INSTALLATION))
    await hub.gone()
    await hub.resync()
    await hub.resync()
    row = await hub.preview()
    assert row is not None
    assert not row.preview.present


async def test_branches_come_back_with_the_app(hub: Hub) -> None:
    await hub.store.projects.change("shop", {"github.branches": ["main"]})
    await hub.resync()

    async def live() -> bool:
        rows = await hub.store.previews.all("shop")
        return [each.preview.state for each in rows] == ["ready"]

    async def none() -> bool:
        return await hub.store.previews.all("shop") == []

    await until(live)
    await hub.hear(InstallationLeft(INSTALLATION))
    await until(none)
    await hub.hear(InstallationJoined(INSTALLATION))
    await hub.resync()
    await until(live)


async def test_a_commit_that_is_overtaken_waits_no_more(hub: Hub) -> None:
    hub.plant.builder.misbehave(Misbehaviour.SLOW, call="ensure", times=1)
    first = hub.changed()
    await hub.hear(first)
    await until(lambda: has_status(hub, first.pull.head, Verdict.PENDING))
    second = hub.changed(hub.commit())
    await hub.hear(second)
    hub.plant.builder.behave()
    await hub.live(second.pull.head)
    await until(lambda: has_status(hub, second.pull.head, Verdict.SUCCESS))
    await until(lambda: has_status(hub, first.pull.head, Verdict.FAILURE))
    status = hub.forge.statuses[REPOSITORY, first.pull.head, "previewdrop/shop"]
    assert status.description == "A newer commit took its place."


async def test_a_name_that_is_used_again_is_of_the_new_project(hub: Hub) -> None:
    opened = hub.changed()
    await hub.hear(opened)
    await hub.says("🚀")
    hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="comment")
    await hub.remove_project()
    await until(lambda: name_is_free(hub))
    await hub.store.projects.add("shop", str(hub.plant.repository), {})
    made = await hub.store.previews.want("shop", "feature", opened.pull.head, NUMBER)
    found = await hub.store.previews.named("shop", f"pr-{NUMBER}")
    assert found.preview.id == made.id
    hub.forge.behave()


async def test_a_project_that_is_removed_is_told_of(hub: Hub) -> None:
    opened, forked = hub.changed(), hub.changed(number=43, fork=True, author="eve")
    await hub.hear(opened, forked)
    await hub.says("🚀")
    await hub.asks_about(forked.pull.head, 43)
    await hub.remove_project()
    await hub.says("🧹 Preview removed", "project was removed")
    await hub.says("project was removed", number=43)
    await until(lambda: no_project_left(hub))
    assert all(each.verdict is None for _, each in hub.forge.deployments.values())
    assert await has_status(hub, opened.pull.head, Verdict.SUCCESS)
    assert await has_status(hub, forked.pull.head, Verdict.FAILURE)


async def test_a_project_that_is_removed_is_told_of_after_a_restart(
    plant: Plant, state: StateDatabase
) -> None:
    hub = Hub(plant, state)
    await hub.connect()
    async with hub.running():
        await hub.hear(hub.changed())
        await hub.says("🚀")
        hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="comment")
        await hub.remove_project()
        await until(lambda: name_is_free(hub))
    hub.forge.behave()
    async with hub.running("repositories"):
        await hub.says("🧹 Preview removed", "project was removed")
        await until(lambda: no_project_left(hub))


async def test_a_project_is_removed_and_added_again_while_its_host_is_away(hub: Hub) -> None:
    await hub.hear(hub.changed())
    await hub.says("🚀")
    hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="comment")
    hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="environment")
    await hub.remove_project()
    await until(lambda: name_is_free(hub))
    await hub.add_project()
    head = hub.commit()
    await hub.hear(hub.changed(head))
    await hub.live(head)
    hub.forge.behave()
    await hub.says("🚀", head[:7])
    [project] = await projects(hub)
    assert project.present
    live = [each for _, each in hub.forge.deployments.values() if each.verdict is not None]
    assert [each.commit for each in live] == [head]


@pytest.mark.parametrize("disconnected", [False, True])
async def test_a_host_that_is_gone_keeps_no_project(hub: Hub, disconnected: bool) -> None:
    await hub.hear(hub.changed())
    await hub.says("🚀")
    hub.forge.misbehave(Misbehaviour.UNAVAILABLE, call="comment")
    await hub.remove_project()
    await until(lambda: name_is_free(hub))
    assert await hub.store.projects.drop_forgotten() == []
    if disconnected:
        [stored] = await hub.store.forges.all()
        await hub.store.forges.remove(stored.id)
    else:
        async with hub.state.transaction() as session:
            earlier = Project.gone_at - timedelta(hours=2)
            await session.execute(update(Project).values(gone_at=earlier))
    assert await hub.store.projects.drop_forgotten() == ["shop"]


async def name_is_free(hub: Hub) -> bool:
    return await hub.store.projects.all() == []


async def no_project_left(hub: Hub) -> bool:
    return await projects(hub) == []


async def projects(hub: Hub) -> list[Project]:
    """Also those of which hosts are still to be told."""
    async with hub.state.transaction() as session:
        return list(await session.scalars(select(Project)))


async def test_branches_with_previews_of_their_own(hub: Hub) -> None:
    await hub.store.projects.change("shop", {"github.branches": ["release/*"]})
    first = hub.commit("release/1")
    other = hub.commit("other")
    newest = hub.commit("release/1")
    for branch, sha in (("release/1", newest), ("release/1", first), ("other", other)):
        await hub.hear(BranchPushed(hub.repository, branch, sha, "", BEGINNING))

    async def live() -> bool:
        rows = await hub.store.previews.all("shop")
        return [
            (each.preview.branch, each.preview.commit, each.preview.state) for each in rows
        ] == [("release/1", newest, "ready")]

    await until(live)
    await hub.hear(BranchDeleted(hub.repository, "release/1"))  # it is there again
    pushed = hub.commit("release/1")
    await hub.resync()

    async def followed() -> bool:
        [row] = await hub.store.previews.all("shop")
        return row.preview.commit == pushed

    await until(followed)
    git(hub.plant.repository, "branch", "-D", "release/1")
    await hub.hear(BranchDeleted(hub.repository, "release/1"))

    async def none() -> bool:
        return not await hub.store.previews.all("shop")

    await until(none)


async def test_a_resync_finds_branches_that_nobody_told_of(hub: Hub) -> None:
    first = hub.commit("release/1")
    await hub.resync()
    assert await hub.store.previews.all("shop") == []
    await hub.store.projects.change("shop", {"github.branches": ["release/*"]})
    await hub.resync()
    row = await hub.branch_live("release/1", first)
    # One that was taken down stays so until it moves.
    await hub.store.previews.unwant(row.preview.id)
    await hub.operations.changed(row.preview.id)
    await until(lambda: _no_previews(hub))
    await hub.resync()
    assert await hub.store.previews.all("shop") == []
    second = hub.commit("release/1")
    await hub.resync()
    await hub.branch_live("release/1", second)
    git(hub.plant.repository, "branch", "-D", "release/1")
    await hub.resync()
    assert (await hub.branch_live("release/1", second)).preview.present
    await hub.resync()
    await until(lambda: _no_previews(hub))


async def test_a_branch_is_gone_even_if_the_host_refused_us_when_it_was_told(hub: Hub) -> None:
    await hub.store.projects.change("shop", {"github.branches": ["release/*"]})
    head = hub.commit("release/1")
    await hub.hear(BranchPushed(hub.repository, "release/1", head, "", BEGINNING))
    await hub.branch_live("release/1", head)
    git(hub.plant.repository, "branch", "-D", "release/1")
    asked = hub.forge.calls.count("login")
    hub.forge.misbehave(Misbehaviour.REFUSED, call="login")
    await hub.hear(BranchDeleted(hub.repository, "release/1"))
    await until(lambda: many(hub, "login", asked + 1))
    hub.forge.behave()
    await hub.resync()
    await until(lambda: _no_previews(hub))


async def _no_previews(hub: Hub) -> bool:
    return await hub.store.previews.all("shop") == []


async def test_text_of_others_stays_text(hub: Hub) -> None:
    title = "<!-- x --> [link](https://evil.test) `code` \u202e|||\r\n/preview stop @everyone"
    await hub.hear(hub.changed(hub.commit(message=title), title=title))
    text = await hub.says("🚀")
    assert "[link](https://evil.test)" not in text
    assert "\u202e" not in text
    assert text.count("<!--") - text.count("\\<!--") == 1


async def test_a_comment_on_a_pull_request_nobody_told_of(hub: Hub) -> None:
    pull, listed = hub.pull(), hub.forge.calls.count("open_pulls")
    comment = await hub.say("/preview")
    await hub.live(pull.head)
    await hub.reacted(comment, "+1")
    assert hub.forge.calls.count("open_pulls") == listed


async def test_a_comment_on_a_closed_pull_request_nobody_told_of(hub: Hub) -> None:
    hub.pull(open=False)
    comment = await hub.say("/preview")
    await hub.reacted(comment, "confused")
    await hub.reason("closed")
    assert await hub.preview() is None

    async def ended() -> bool:
        return not await hub.store.asks.waiting()

    await until(ended)


async def test_a_comment_on_what_the_host_does_not_know(hub: Hub) -> None:
    comment = await hub.say("/preview")
    await hub.reacted(comment, "confused")
    assert await hub.store.pulls.of((await hub.project()).id, NUMBER) is None


async def test_a_stranger_s_comment_leads_to_one_question(hub: Hub) -> None:
    hub.pull()
    before = len(hub.forge.calls)
    comment = await hub.say("/preview", author="eve")
    await hub.reacted(comment, "confused")
    assert hub.forge.calls[before:] == ["may_write", "react"]
    assert not hub.code_hosts.pulls.resync.is_set()
    assert await hub.store.pulls.of((await hub.project()).id, NUMBER) is None


async def test_a_signature_of_nobody(hub: Hub) -> None:
    headers, body = hub.forge.deliver(hub.changed())
    assert await hub.code_hosts.hear("github", headers, body) is None
    hub.forge.webhook = Secret("another")
    assert await hub.code_hosts.hear("memory", headers, body) is None


async def _has_reason(hub: Hub) -> bool:
    return (await hub.told()).reason is not None


async def test_what_waits_for_room_is_told_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("previewdrop.pipeline.pace._LIMITS", ((60.0, 1000),))
    head = hub.commit()
    for number in range(1, 31):
        hub.pull(head, number)
    await hub.resync()
    numbers = range(1, 31)

    async def told() -> bool:
        texts = [hub.comment(number) for number in numbers]
        live, waiting = ([word in text for text in texts].count(True) for word in ("🚀", "⏸️"))
        return (live, waiting) == (2, 28)

    await until(told, lambda: [hub.comment(number) for number in numbers], timeout=60)
    assert len(hub.forge.deployments) == 2
    assert hub.forge.calls.count("environment") <= 2 * 3
    assert hub.forge.calls.count("comment") <= 28 + 2 * 3
    assert hub.forge.calls.count("status") <= 28 + 2 * 4


async def test_results_are_told_before_what_waits_for_room(hub: Hub) -> None:
    head = hub.commit()
    for number in range(1, 61):
        hub.pull(head, number)
    await hub.resync()

    async def told() -> bool:
        return ["🚀" in hub.comment(number) for number in range(1, 61)].count(True) == 2

    await until(told)
    assert sum(map(hub.forge.calls.count, ("comment", "status", "environment"))) < 70


async def test_two_hundred_pull_requests_are_compared_with_two_requests(hub: Hub) -> None:
    await hub.store.projects.change("shop", {"github.demand": "command"})
    head = hub.commit()
    for number in range(1, 201):
        hub.pull(head, number)
    before, began = len(hub.forge.calls), time.monotonic()
    await hub.resync(whole=False)

    async def settled() -> bool:
        rows = await hub.store.pulls.open((await hub.project()).id)
        return len(rows) == 200 and all(row.reason is not None for row in rows)

    await until(settled, timeout=30)
    assert time.monotonic() - began < 30
    assert hub.forge.calls[before:] == ["open_pulls", "comments_since"]
