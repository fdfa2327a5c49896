"""What is sent to GitHub, in which order, for each thing that a Forge promises."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from previewdrop.domain.errors import Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import (
    Environment,
    Forge,
    Labelled,
    Page,
    Refused,
    Status,
    Verdict,
    Written,
)
from previewdrop.forge.events import Repository
from previewdrop.forge.github.client import Bearer
from previewdrop.forge.github.github import GitHub
from previewdrop.forge.github.personal import PersonalAccess
from previewdrop.forge.github.signature import signature
from unit.forge.scripted import HOST, SHOP, Scripted, answer, no
from unit.forge.test_app import app
from unit.forge.test_parse import example

WEBHOOK = Secret("webhook secret")
MARK = "<!-- previewdrop -->"
NEXT = {"link": '<https://api.github.test/x?page=2>; rel="next"'}
COMMIT = "a" * 40


def forge(github: Scripted) -> GitHub:
    client = github.client()
    return GitHub(client, PersonalAccess(client, Secret("ghp_1")), WEBHOOK)


class Expiring:
    """Credentials whose tokens the host stops taking."""

    def __init__(self) -> None:
        self.number = 1

    async def token(self, repository: Repository) -> Bearer:
        return Bearer(Secret(f"ghs_{self.number}"), "installation 3")

    async def clone_token(self, repository: Repository) -> Secret:
        return Secret(f"ghs_clone_{self.number}")

    def expired(self, token: Secret) -> bool:
        self.number += 1
        return True

    async def author(self) -> str:
        return "previewdrop[bot]"

    async def repositories(self) -> list[Repository]:
        return [SHOP]


def pull(number: int = 2, **changes: Any) -> dict[str, Any]:
    return example("pull_request.opened")["pull_request"] | {"number": number} | changes


async def test_it_is_a_forge_by_app_and_by_token():
    transport = Scripted(answer({"id": 7})).transport
    found: list[Forge] = [
        GitHub.by_app(HOST, app(), transport=transport),
        GitHub.by_token(HOST, Secret("ghp_1"), WEBHOOK, transport=transport),
    ]
    for each in found:
        assert isinstance(each, GitHub)
        await each.aclose()


def test_webhooks_are_verified_and_parsed():
    body = json.dumps(example("pull_request.opened")).encode()
    headers = {
        "X-Hub-Signature-256": signature(WEBHOOK, body),
        "X-GitHub-Event": "pull_request",
        "X-GitHub-Delivery": "1",
    }
    github = forge(Scripted())
    assert github.verified(headers, body)
    assert not github.verified(headers, body + b" ")
    assert github.parsed(headers, body).kind == "pull_request.opened"


async def test_open_pull_requests_come_page_by_page():
    github = Scripted(
        answer([pull(2)], headers={**NEXT, "etag": '"one"'}),
        answer([pull(1)], headers={"etag": '"two"'}),
        answer(status=304),
    )
    page = await forge(github).open_pulls(SHOP)
    assert page.pulls is not None
    assert [each.number for each in page.pulls] == [2, 1]
    assert page.mark == '"one"\n"two"'
    query = "state=open&sort=created&direction=desc&per_page=100"
    assert github.places == [
        f"GET /repos/acme/shop/pulls?{query}&page=1",
        f"GET /repos/acme/shop/pulls?{query}&page=2",
        f"GET /repos/acme/shop/pulls?{query}&page=1",
    ]
    assert github.asked[2].headers["if-none-match"] == '"one"'


async def test_a_list_that_changes_while_it_is_read_is_read_again():
    first = answer([pull(2)], headers={**NEXT, "etag": '"one"'})
    second = answer([], headers={"etag": '"two"'})
    changed = answer([pull(1)], headers={"etag": '"new"'})
    github = Scripted(first, second, changed, changed)
    page = await forge(github).open_pulls(SHOP)
    assert page.pulls is not None
    assert [each.number for each in page.pulls] == [1]
    restless = Scripted(*(first, second, changed) * 3)
    with pytest.raises(Unavailable, match="changed while they were listed"):
        await forge(restless).open_pulls(SHOP)


async def test_an_unchanged_list_costs_nothing():
    github = Scripted(answer(status=304), answer(status=304))
    assert await forge(github).open_pulls(SHOP, '"one"\n"two"') == Page(None, '"one"\n"two"')
    assert [each.headers["if-none-match"] for each in github.asked] == ['"one"', '"two"']


async def test_a_change_on_any_page_brings_the_whole_list():
    github = Scripted(
        answer(status=304),
        answer([], headers={"etag": '"new"'}),
        answer([pull(2)], headers={"etag": '"one"'}),
    )
    page = await forge(github).open_pulls(SHOP, '"one"\n"two"')
    assert page.pulls is not None
    assert len(page.pulls) == 1
    assert page.mark == '"one"'
    assert "if-none-match" not in github.asked[2].headers


async def test_a_host_without_etags_gives_no_mark():
    assert await forge(Scripted(answer([]))).open_pulls(SHOP) == Page((), None)
    some = Scripted(answer([], headers=NEXT), answer([], headers={"etag": '"two"'}))
    assert await forge(some).open_pulls(SHOP) == Page((), None)


async def test_a_pull_request():
    github = Scripted(answer(pull(9, state="closed", merged_at="2019-05-15T15:20:33Z")))
    found = await forge(github).pull(SHOP, 9)
    assert found is not None
    assert (found.number, found.open, found.merged) == (9, False, True)
    assert github.places == ["GET /repos/acme/shop/pulls/9"]


async def test_no_such_pull_request_is_not_the_same_as_no_access():
    assert await forge(Scripted(no(404), answer({"id": 7}))).pull(SHOP, 9) is None
    with pytest.raises(Refused, match="refused to show acme/shop: Not Found"):
        await forge(Scripted(no(404), no(404))).pull(SHOP, 9)
    with pytest.raises(Refused, match="Forbidden"):
        await forge(Scripted(no(403, "Forbidden"))).pull(SHOP, 9)


@pytest.mark.parametrize(
    ("permission", "may"),
    [("admin", True), ("maintain", True), ("write", True), ("read", False), ("none", False)],
)
async def test_who_may_write(permission: str, may: bool):
    github = Scripted(answer({"permission": permission, "role_name": "x"}))
    assert await forge(github).may_write(SHOP, "dependabot[bot]") is may
    assert github.places == ["GET /repos/acme/shop/collaborators/dependabot%5Bbot%5D/permission"]


async def test_a_stranger_may_not_write():
    assert not await forge(Scripted(no(404))).may_write(SHOP, "../../x")
    with pytest.raises(Refused):
        await forge(Scripted(no(403, "Must have push access"))).may_write(SHOP, "octocat")


async def test_a_login_for_git():
    assert await forge(Scripted()).login(SHOP) == ("x-access-token", Secret("ghp_1"))


async def test_a_login_that_git_does_not_take_is_not_given_out_again():
    client = Scripted().client()
    github = GitHub(client, Expiring())
    user, password = await github.login(SHOP)
    assert (await github.login(SHOP))[1] == password
    assert await github.login(SHOP, password) == (user, Secret("ghs_clone_2"))


async def test_a_token_that_expired_is_replaced_once():
    github = Scripted(no(401, "Bad credentials"), answer({"permission": "write"}))
    client = github.client()
    assert await GitHub(client, Expiring(), WEBHOOK).may_write(SHOP, "octocat")
    assert [each.token for each in github.asked] == ["ghs_1", "ghs_2"]
    github = Scripted(no(401, "Bad credentials"), no(401, "Bad credentials"))
    with pytest.raises(Refused, match="Bad credentials"):
        await GitHub(github.client(), Expiring(), WEBHOOK).may_write(SHOP, "octocat")


async def test_a_personal_token_that_expired_is_refused_at_once():
    with pytest.raises(Refused, match="Bad credentials") as refused:
        await forge(Scripted(no(401, "Bad credentials"))).repositories()
    assert "github connect" in (refused.value.hint or "")
    with pytest.raises(Refused):
        await forge(Scripted(no(401, "Bad credentials"))).pull(SHOP, 1)


def comment(id: int, body: str | None, login: str | None = "octocat") -> dict[str, Any]:
    at, url = "2026-01-01T10:00:00Z", f"https://github.test/acme/shop/pull/42#issuecomment-{id}"
    user = login and {"login": login}
    return {"id": id, "body": body, "user": user, "html_url": url, "updated_at": at}


def written(id: int) -> Written:
    url = f"https://github.test/acme/shop/pull/42#issuecomment-{id}"
    return Written(id, url, datetime(2026, 1, 1, 10, tzinfo=UTC))


ME = answer({"login": "Octocat"})


async def test_the_first_comment():
    github = Scripted(ME, answer([]), answer(comment(5, "x"), 201))
    assert await forge(github).comment(SHOP, 42, MARK, "Preview deployed", None) == written(5)
    assert github.places == [
        "GET /user",
        "GET /repos/acme/shop/issues/42/comments?per_page=100&page=1",
        "POST /repos/acme/shop/issues/42/comments",
    ]
    assert github.asked[2].body == {"body": f"{MARK}\nPreview deployed"}


async def test_a_known_comment_is_changed():
    github = Scripted(answer(comment(5, "x")))
    assert await forge(github).comment(SHOP, 42, MARK, "again", 5) == written(5)
    assert github.places == ["PATCH /repos/acme/shop/issues/comments/5"]
    assert github.asked[0].body == {"body": f"{MARK}\nagain"}


@pytest.mark.parametrize("status", [404, 410, 403])
async def test_a_deleted_comment_is_written_again(status: int):
    github = Scripted(no(status), ME, answer([]), answer(comment(6, "x"), 201))
    assert await forge(github).comment(SHOP, 42, MARK, "again", 5) == written(6)


async def test_a_comment_whose_id_was_lost_is_found_by_its_mark():
    others = [
        comment(1, f"> {MARK}\nquoted"),
        comment(2, f"{MARK}\nfrom somebody else", "mallory"),
        comment(3, None),
        comment(4, MARK, None),
    ]
    github = Scripted(
        ME,
        answer(others, headers=NEXT),
        answer([comment(5, f"{MARK}\nours", "octocat"), comment(6, f"{MARK}\nlater")]),
        answer(comment(5, "x")),
    )
    assert await forge(github).comment(SHOP, 42, MARK, "again", None) == written(5)
    assert github.places[-1] == "PATCH /repos/acme/shop/issues/comments/5"


async def test_a_comment_that_cannot_be_written_is_an_error():
    with pytest.raises(Refused, match="change a comment in acme/shop: Validation Failed"):
        await forge(Scripted(no(422, "Validation Failed"))).comment(SHOP, 42, MARK, "x", 5)
    with pytest.raises(Refused, match="comment on acme/shop#42: Locked"):
        await forge(Scripted(ME, answer([]), no(403, "Locked"))).comment(SHOP, 42, MARK, "x", None)
    with pytest.raises(Unavailable, match="not a list"):
        await forge(Scripted(ME, answer({}))).comment(SHOP, 42, MARK, "x", None)


def event(name: str, label: str | None, login: str | None, minute: int) -> dict[str, Any]:
    told: dict[str, Any] = {"event": name, "actor": login and {"login": login}}
    told["created_at"] = f"2026-01-01T10:{minute:02}:00Z"
    return {**told, **({"label": {"name": label}} if label else {})}


async def test_who_set_a_label():
    events = [
        event("labeled", "Approve-Preview", "alice", 1),
        event("unlabeled", "approve-preview", "alice", 2),
        event("labeled", "approve-preview", "bob", 3),
        event("labeled", "bug", "carol", 4),
        event("closed", None, "carol", 5),
        {"event": "renamed", "actor": {"login": ""}, "label": {"name": None}},
        {},
    ]
    more = [event("labeled", "also", None, 6), event("unlabeled", "also", None, 7)]
    github = Scripted(answer(events, headers=NEXT), answer(more))
    told = await forge(github).labelled(SHOP, 42, ["approve-preview", "also"])
    assert told == Labelled("bob", False, datetime(2026, 1, 1, 10, 3, tzinfo=UTC))
    assert github.places[0] == "GET /repos/acme/shop/issues/42/events?per_page=100&page=1"
    assert await forge(Scripted(answer([]))).labelled(SHOP, 42, ["also"]) is None


async def test_two_at_the_same_time_write_one_comment():
    bodies: list[str] = []

    def answers(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/user":
            return answer({"login": "octocat"})
        if request.method == "GET":
            return answer([comment(1, body) for body in bodies])
        if request.method == "POST":
            bodies.append(json.loads(request.content)["body"])
        return answer(comment(1, "x"))

    github = GitHub.by_token(
        HOST, Secret("ghp_1"), WEBHOOK, transport=httpx2.MockTransport(answers)
    )
    both = (github.comment(SHOP, 42, MARK, text, None) for text in ("a", "b"))
    assert await asyncio.gather(*both) == [written(1)] * 2
    assert len(bodies) == 1
    await github.aclose()


async def test_a_reaction():
    github = Scripted(answer({"id": 1}, 200))
    await forge(github).react(SHOP, 5, "eyes")
    assert github.places == ["POST /repos/acme/shop/issues/comments/5/reactions"]
    assert github.asked[0].body == {"content": "eyes"}


async def test_a_status():
    github = Scripted(answer({"id": 1}, 201), answer({"id": 2}, 201))
    told = Status(COMMIT, "previewdrop", Verdict.FAILURE, "a\n b " + "x" * 200, "https://x.test/")
    await forge(github).status(SHOP, told)
    await forge(github).status(SHOP, Status(COMMIT, "previewdrop", Verdict.PENDING, "", None))
    assert github.places[0] == f"POST /repos/acme/shop/statuses/{COMMIT}"
    assert github.asked[0].body == {
        "state": "failure",
        "context": "previewdrop",
        "description": "a b " + "x" * 135 + "…",
        "target_url": "https://x.test/",
    }
    assert github.asked[1].body["state"] == "pending"
    assert github.asked[1].body["target_url"] is None


PENDING = Environment("shop/pr-42", "feature/x", COMMIT, Verdict.PENDING, "building", None, None)
READY = Environment(
    "shop/pr-42", "feature/x", COMMIT, Verdict.SUCCESS, "ready", "https://p.test", "https://l.test"
)
GONE = Environment("shop/pr-42", "feature/x", COMMIT, None, "removed", None, None)
LIST = "GET /repos/acme/shop/deployments?environment=shop%2Fpr-42&per_page=100"


def deployment(id: int, commit: str = COMMIT, payload: object = None) -> dict[str, Any]:
    return {"id": id, "sha": commit, "payload": {"commit": commit} if payload is None else payload}


def state(*states: str) -> httpx2.Response:
    return answer([{"state": each} for each in states])


async def test_the_first_deployment():
    github = Scripted(answer([]), answer(deployment(1), 201), answer({}, 201))
    assert await forge(github).environment(SHOP, PENDING, None) == 1
    assert github.places == [
        LIST,
        "POST /repos/acme/shop/deployments",
        "POST /repos/acme/shop/deployments/1/statuses",
    ]
    assert github.asked[1].body == {
        "ref": "feature/x",
        "environment": "shop/pr-42",
        "description": "building",
        "auto_merge": False,
        "required_contexts": [],
        "transient_environment": True,
        "production_environment": False,
        "payload": {"commit": COMMIT},
    }
    assert github.asked[2].body == {
        "state": "in_progress",
        "description": "building",
        "environment": "shop/pr-42",
        "auto_inactive": False,
    }


@pytest.mark.parametrize("payload", [None, "", "text", {}, {"commit": 5}])
async def test_the_deployment_of_this_commit_is_found(payload: object):
    github = Scripted(answer([deployment(1, payload=payload)]), answer({}, 201))
    assert await forge(github).environment(SHOP, PENDING, None) == 1


async def test_the_next_commit_gets_its_own_and_the_older_ones_end_when_it_is_there():
    older = [deployment(3, "c" * 40), deployment(2, "b" * 40), deployment(1, "d" * 40)]
    github = Scripted(
        answer([deployment(4), *older]),
        answer({}, 201),
        state("failure"),
        state("success", "in_progress"),
        state("inactive"),
        answer({}, 201),
        answer({}, 201),
    )
    assert await forge(github).environment(SHOP, READY, 4) == 4
    statuses = "/repos/acme/shop/deployments/{}/statuses"
    assert github.places == [
        LIST,
        "POST " + statuses.format(4),
        "GET " + statuses.format(3) + "?per_page=1",
        "GET " + statuses.format(2) + "?per_page=1",
        "GET " + statuses.format(1) + "?per_page=1",
        "POST " + statuses.format(2),
        "POST " + statuses.format(3),
    ]
    assert github.asked[1].body["state"] == "success"
    assert github.asked[1].body["environment_url"] == "https://p.test"
    assert github.asked[1].body["log_url"] == "https://l.test"
    assert github.asked[5].body["state"] == "inactive"
    assert "environment_url" not in github.asked[5].body


async def test_a_late_word_about_an_older_commit_ends_nothing_newer():
    listed = [deployment(2, "b" * 40), deployment(1)]
    github = Scripted(answer(listed), answer({}, 201))
    assert await forge(github).environment(SHOP, READY, None) == 1


async def test_a_list_that_lags_behind_makes_no_second_deployment():
    github = Scripted(answer([]), answer(deployment(1)), answer({}, 201))
    assert await forge(github).environment(SHOP, PENDING, 1) == 1
    assert github.places[1] == "GET /repos/acme/shop/deployments/1"
    github = Scripted(
        answer([]), answer(deployment(1, "b" * 40)), answer(deployment(2)), answer({})
    )
    assert await forge(github).environment(SHOP, PENDING, 1) == 2
    github = Scripted(answer([]), no(404), answer(deployment(2)), answer({}))
    assert await forge(github).environment(SHOP, PENDING, 1) == 2
    with pytest.raises(Refused):
        await forge(Scripted(answer([]), no(403))).environment(SHOP, PENDING, 1)


async def test_a_branch_that_is_gone_is_deployed_by_its_commit():
    github = Scripted(answer([]), no(422, "No ref found"), answer(deployment(1)), answer({}))
    assert await forge(github).environment(SHOP, PENDING, None) == 1
    assert [each.body["ref"] for each in github.asked[1:3]] == ["feature/x", COMMIT]
    fork = Environment("shop/pr-42", COMMIT, COMMIT, Verdict.PENDING, "", None, None)
    with pytest.raises(Refused, match="list shop/pr-42 as a deployment"):
        await forge(Scripted(answer([]), no(422, "No ref"))).environment(SHOP, fork, None)
    with pytest.raises(Refused):
        await forge(Scripted(answer([]), no(409, "Conflict"))).environment(SHOP, PENDING, None)


async def test_a_removed_preview_leaves_no_deployment_active():
    listed = [deployment(2), deployment(1, "b" * 40)]
    github = Scripted(answer(listed), state("success"), state(), answer({}), answer({}))
    assert await forge(github).environment(SHOP, GONE, 2) == 2
    assert [each.body["state"] for each in github.asked[3:]] == ["inactive", "inactive"]
    assert [each.body["description"] for each in github.asked[3:]] == ["removed", "removed"]
    again = Scripted(answer(listed), state("inactive"))
    assert await forge(again).environment(SHOP, GONE, 2) == 2
    assert await forge(Scripted(answer([]))).environment(SHOP, GONE, None) is None


async def test_a_webhook_of_a_repository_is_made_once():
    address = "https://preview.acme.com/webhooks/github"
    other = {"id": 1, "config": {"url": "https://ci.acme.com"}}
    github = Scripted(answer([other]), answer({"id": 2, "config": {"url": address}}, 201))
    assert await forge(github).hook(SHOP, address, WEBHOOK) == 2
    assert github.places == [
        "GET /repos/acme/shop/hooks?per_page=100&page=1",
        "POST /repos/acme/shop/hooks",
    ]
    assert github.asked[1].body == {
        "name": "web",
        "config": {"url": address, "content_type": "json", "secret": "webhook secret"},
        "events": ["delete", "issue_comment", "pull_request", "push", "repository"],
        "active": True,
    }
    ours = {"id": 2, "config": {"url": address}}
    github = Scripted(answer([other, ours, {"id": 3, "config": {}}]), answer(ours))
    assert await forge(github).hook(SHOP, address, WEBHOOK, ["push"]) == 2
    assert github.places[1] == "PATCH /repos/acme/shop/hooks/2"
    assert github.asked[1].body == {
        "config": {"url": address, "content_type": "json", "secret": "webhook secret"},
        "events": ["push"],
        "active": True,
    }
