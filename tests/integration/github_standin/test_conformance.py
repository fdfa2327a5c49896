"""All that the stand-in answers is as GitHub describes it, and it notices when it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from github_standin import payloads
from github_standin.api import OPERATIONS, Known
from github_standin.asking import asking
from github_standin.calls import Answer, Call
from github_standin.description import description
from github_standin.github import GitHub
from github_standin.inbox import Inbox
from github_standin.repository import Repository
from integration.github_standin.conftest import make_app, make_shop

AT = "/repos/acme/shop"
SITE = "https://pr-42.preview.example.com"


@pytest.mark.parametrize("kind", ["github", "enterprise"])
async def test_every_operation_answers_as_described(
    kind: str, request: pytest.FixtureRequest, inbox: Inbox
) -> None:
    github: GitHub = request.getfixturevalue(kind)
    await _tour(github, inbox)
    answered = {each.operation for each in github.traffic if each.status < 400}
    assert answered >= OPERATIONS.keys()
    assert not github.violations


async def _tour(github: GitHub, inbox: Inbox) -> None:
    """Calls every operation at least once, so that it succeeds."""
    shop = make_shop(github)
    pull = shop.open_pull("feature", {"a.py": "a = 1\n"}, by=github.user("ali"), number=42)
    manifest = {"url": SITE, "redirect_url": SITE, "default_permissions": {"contents": "read"}}
    code = github.manifests.create(manifest, shop.owner)
    async with asking(github) as nobody:
        await _fine(nobody.post(f"/app-manifests/{code}/conversions"))
        await _fine(nobody.get("/rate_limit"))
    app = make_app(github, inbox.url)
    installation = app.install(shop.owner)
    spare = app.install(github.organization("elsewhere"))
    await github.webhooks.settled()
    async with asking(github, app) as client:
        for path in ("", "/hook/config", "/installations", f"/installations/{installation.id}"):
            await _fine(client.get(f"/app{path}"))
        await _fine(client.get(f"{AT}/installation"))
        await _fine(client.patch("/app/hook/config", json={"url": inbox.url}))
        delivery = (await _fine(client.get("/app/hook/deliveries")))[0]["id"]
        await _fine(client.post(f"/app/hook/deliveries/{delivery}/attempts"))
        tokens = f"/app/installations/{installation.id}/access_tokens"
        await _fine(client.post(tokens))
        narrow = {"repository_ids": [shop.id], "permissions": {"contents": "read"}}
        await _fine(client.post(tokens, json=narrow))
        await _fine(client.delete(f"/app/installations/{spare.id}"))
    pull.label("bug")
    pull.unlabel("bug")
    async with asking(github, installation) as client:
        await _fine(client.get("/installation/repositories"))
        events = await _fine(client.get(f"{AT}/issues/42/events"))
        assert [each["event"] for each in events] == ["labeled", "unlabeled"]
        for path in (
            "",
            "/pulls",
            "/pulls/42",
            "/pulls/42/files",
            f"/commits/{pull.head}",
            "/collaborators/ali/permission",
        ):
            await _fine(client.get(AT + path))
        await _comments(client)
        await _commits(client, pull.head)
        await _deployments(client)
    async with asking(github, shop.owner) as client:
        await _hooks(client, inbox)
        await _fine(client.get("/user"))
        await _fine(client.get("/user/repos"))


async def _comments(client: Any) -> None:
    made = await _fine(client.post(f"{AT}/issues/42/comments", json={"body": "One"}))
    one = f"{AT}/issues/comments/{made['id']}"
    assert (await _fine(client.patch(one, json={"body": "Two"})))["body"] == "Two"
    assert (await _fine(client.get(one)))["user"]["login"] == "previewdrop[bot]"
    assert len(await _fine(client.get(f"{AT}/issues/42/comments"))) == 1
    lately = {"since": "2020-01-01T00:00:00Z", "sort": "updated"}
    assert len(await _fine(client.get(f"{AT}/issues/comments", params=lately))) == 1
    await _fine(client.post(f"{one}/reactions", json={"content": "eyes"}))
    assert (await _fine(client.get(f"{one}/reactions")))[0]["content"] == "eyes"
    await _fine(client.delete(one))
    assert (await client.get(one)).status_code == 404


async def _commits(client: Any, sha: str) -> None:
    said = {"state": "pending", "context": "previewdrop", "target_url": SITE, "description": "…"}
    await _fine(client.post(f"{AT}/statuses/{sha}", json=said))
    await _fine(client.post(f"{AT}/statuses/{sha}", json=said | {"state": "success"}))
    combined = await _fine(client.get(f"{AT}/commits/feature/status"))
    assert (combined["state"], combined["total_count"]) == ("success", 1)
    assert len(await _fine(client.get(f"{AT}/commits/{sha}/statuses"))) == 2
    check = {"name": "preview", "head_sha": sha, "conclusion": "success", "status": "completed"}
    await _fine(client.post(f"{AT}/check-runs", json=check))


async def _deployments(client: Any) -> None:
    wanted = {"ref": "feature", "environment": "shop/pr-42", "transient_environment": True}
    made = await _fine(client.post(f"{AT}/deployments", json=wanted))
    one = f"{AT}/deployments/{made['id']}"
    for state in ("in_progress", "success", "inactive"):
        said = {"state": state, "environment_url": SITE, "log_url": SITE, "auto_inactive": False}
        await _fine(client.post(f"{one}/statuses", json=said))
    assert (await _fine(client.get(f"{one}/statuses")))[0]["state"] == "inactive"
    query = {"environment": "shop/pr-42"}
    assert len(await _fine(client.get(f"{AT}/deployments", params=query))) == 1
    await _fine(client.get(one))
    await _fine(client.delete(one))


async def _hooks(client: Any, inbox: Inbox) -> None:
    config = {"url": inbox.url, "content_type": "json", "secret": "hidden"}
    body = {"name": "web", "config": config, "events": ["push"]}
    made = await _fine(client.post(f"{AT}/hooks", json=body))
    assert made["config"]["secret"] == "********"
    one = f"{AT}/hooks/{made['id']}"
    await _fine(client.patch(one, json={"add_events": ["pull_request"]}))
    assert (await _fine(client.get(one)))["events"] == ["pull_request", "push"]
    assert len(await _fine(client.get(f"{AT}/hooks"))) == 1
    await _fine(client.post(f"{one}/pings"))
    delivery = (await _fine(client.get(f"{one}/deliveries")))[0]["id"]
    await _fine(client.post(f"{one}/deliveries/{delivery}/attempts"))
    await _fine(client.delete(one))


async def _fine(asked: Any) -> Any:
    answer = await asked
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda body: body.pop("full_name"), '"full_name" is a required property'),
        (lambda body: body.update(id="7"), '/id: "7" is not of type "integer"'),
        (lambda body: body.update(made_up=1), "'made_up' was unexpected"),
        (lambda body: body["owner"].update(made_up=1), "'made_up' was unexpected"),
        (lambda body: body.update(url="no address"), '"no address" is not a "uri"'),
    ],
)
async def test_a_wrong_answer_is_noticed(
    github: GitHub,
    shop: Repository,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Any], object],
    said: str,
) -> None:
    def wrong(call: Call) -> Answer:
        body = payloads.full_repository(call.repository, "read")
        spoil(body)
        return Answer(200, body)

    monkeypatch.setitem(OPERATIONS, "repos/get", Known(wrong, ("metadata",), "read"))
    async with asking(github, shop.owner) as client:
        answer = await client.get(AT)
    assert answer.status_code == 500
    assert said in "\n".join(github.violations)
    github.violations.clear()


async def test_a_status_that_is_never_answered_is_noticed(
    github: GitHub, shop: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Known(lambda _: Answer(418, {"message": "teapot"}), ("metadata",), "read")
    monkeypatch.setitem(OPERATIONS, "repos/get", known)
    async with asking(github, shop.owner) as client:
        assert (await client.get(AT)).status_code == 500
    assert github.violations == ["repos/get answers 418: it never answers 418"]
    github.violations.clear()


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("GET", f"{AT}/pulls?stat=open", None, "it takes no query parameter stat"),
        ("GET", f"{AT}/pulls?state=opened", None, '"opened" is not one of'),
        ("GET", f"{AT}/pulls/first", None, 'is not of type "integer"'),
        ("GET", f"{AT}/pull", None, "GitHub has no GET /repos/acme/shop/pull"),
        ("GET", f"{AT}/contributors", None, "repos/list-contributors is missing in the stand-in"),
        ("POST", f"{AT}/issues/1/comments", None, "it needs a body"),
        ("POST", f"{AT}/issues/1/comments", {"text": "x"}, '"body" is a required property'),
        ("POST", f"{AT}/deployments", {"ref": "main", "env": "x"}, "'env' was unexpected"),
        ("POST", f"{AT}/statuses/{'0' * 40}", {"state": "green"}, '"green" is not one of'),
    ],
)
async def test_a_wrong_request_is_noticed(
    github: GitHub, shop: Repository, method: str, path: str, body: Any, said: str
) -> None:
    async with asking(github, shop.owner) as client:
        answer = await client.request(method, path, json=body)
    assert answer.status_code == 500
    assert said in "\n".join(github.violations)
    github.violations.clear()


def test_the_description_knows_its_operations() -> None:
    found = description().find("GET", "/repos/acme/shop/commits/feature%2Fnew/status")
    assert found is not None
    operation, path = found
    assert (operation.id, path["ref"]) == ("repos/get-combined-status-for-ref", "feature/new")
    assert description().find("PUT", "/repos/acme/shop/pulls") is None
