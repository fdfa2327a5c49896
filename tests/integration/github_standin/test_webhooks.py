"""Webhooks of the stand-in: signed, as real ones are, and with all that may happen to them."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from github_standin.apps import App, Installation
from github_standin.asking import asking
from github_standin.github import GitHub
from github_standin.inbox import Inbox
from github_standin.payloads.real import examples
from github_standin.repository import Repository
from integration.github_standin.conftest import EVENTS

DIFFERENT = frozenset(
    {
        "/changes/owner/from",
        "/installation/created_at",
        "/installation/permissions",
        "/installation/updated_at",
    }
)
"""A person instead of an organization, other permissions, and times as the numbers they were."""


async def test_deliveries_are_signed(
    github: GitHub, app: App, installation: Installation, inbox: Inbox, shop: Repository
) -> None:
    shop.open_pull("feature", {"a.py": "1"}, title='Größer & <b>"schneller"</b> 🚀')
    await github.webhooks.settled()
    letter = inbox.letters[-1]
    assert letter.kind == "pull_request.opened"
    assert letter.payload["pull_request"]["title"] == 'Größer & <b>"schneller"</b> 🚀'
    assert letter.payload["installation"]["id"] == installation.id
    for name, method in (("x-hub-signature-256", "sha256"), ("x-hub-signature", "sha1")):
        digest = hmac.new(app.webhook_secret.encode(), letter.body, method).hexdigest()
        assert letter.headers[name] == f"{method}={digest}"
    assert letter.headers["x-github-hook-installation-target-type"] == "integration"
    assert len({each.headers["x-github-delivery"] for each in inbox.letters}) == len(inbox.letters)


async def test_every_change_is_told(
    github: GitHub, installation: Installation, inbox: Inbox, shop: Repository
) -> None:
    """And in the shape of the real examples, with every property that they have."""
    _everything(github, installation, shop)
    await github.webhooks.settled()
    assert not github.violations
    assert all(each.statuses == [200] for each in github.webhooks.log)
    told = {each.kind: each.payload for each in inbox.letters}
    pulls = (
        "opened synchronize edited labeled unlabeled closed reopened converted_to_draft "
        "ready_for_review"
    )
    assert told.keys() == {
        "push",
        "create",
        "delete",
        *(f"pull_request.{action}" for action in pulls.split()),
        *(f"issue_comment.{action}" for action in ("created", "edited", "deleted")),
        *(f"installation.{action}" for action in ("created", "suspend", "unsuspend", "deleted")),
        *(f"installation_repositories.{action}" for action in ("added", "removed")),
        *(f"repository.{action}" for action in ("renamed", "transferred", "deleted")),
    }
    for kind, payload in told.items():
        event, _, action = kind.partition(".")
        real = [each for each in examples(event) if each.get("action", "") == action]
        missing = set.intersection(*(_missing(each, payload) for each in real)) if real else set()
        assert not missing, kind


def _everything(github: GitHub, installation: Installation, shop: Repository) -> None:
    ali = github.user("ali")
    pull = shop.open_pull("feature", {"a.py": "1"}, by=ali)
    pull.push({"a.py": "2"})
    pull.edit(title="Better", body="than before")
    pull.label("preview")
    pull.unlabel("preview")
    pull.to_draft()
    pull.ready()
    comment = pull.comment("/preview")
    comment.edit("/preview stop")
    comment.delete()
    pull.close()
    pull.reopen()
    pull.merge()
    shop.delete_branch("feature")
    other = github.repository("acme/other", {"a": "b"})
    installation.add(other)
    installation.remove(other)
    installation.suspend()
    installation.unsuspend()
    shop.rename("store")
    installation.add(other)
    other.delete()
    elsewhere = installation.app.install(github.organization("elsewhere"))
    shop.transfer(elsewhere.account)
    elsewhere.uninstall()


def _missing(real: Any, ours: Any, at: str = "") -> set[str]:
    """Properties of a real payload that ours lacks, or has as something else."""
    if at in DIFFERENT:
        return set()
    if isinstance(real, dict):
        if not isinstance(ours, dict):
            return set() if ours is None else {at}
        found = {f"{at}/{key}" for key in real.keys() - ours.keys() - {"custom_properties"}}
        for key in real.keys() & ours.keys():
            found |= _missing(real[key], ours[key], f"{at}/{key}")
        return found
    if isinstance(real, list) and isinstance(ours, list):
        return _missing(real[0], ours[0], f"{at}/0") if real and ours else set()
    return set() if None in (real, ours) or type(real) is type(ours) else {at}


async def test_only_subscribers_are_told(github: GitHub, inbox: Inbox, shop: Repository) -> None:
    app = github.app("Deaf", hook_url=inbox.url, permissions={"contents": "read"})
    app.install(shop.owner)
    shop.open_pull("feature", {"a.py": "1"})
    await github.webhooks.settled()
    assert inbox.kinds == ["installation.created"]


async def test_hooks_of_a_repository(github: GitHub, inbox: Inbox, shop: Repository) -> None:
    config = {"url": inbox.url, "content_type": "json", "secret": "of the hook"}
    async with asking(github, shop.owner) as client:
        body = {"config": config, "events": ["pull_request"]}
        assert (await client.post("/repos/acme/shop/hooks", json=body)).status_code == 201
        assert (await client.post("/repos/acme/shop/hooks", json=body)).status_code == 422
    shop.open_pull("feature", {"a.py": "1"})
    await github.webhooks.settled()
    assert inbox.kinds == ["ping", "pull_request.opened"]
    letter = inbox.letters[1]
    digest = hmac.new(b"of the hook", letter.body, hashlib.sha256).hexdigest()
    assert letter.headers["x-hub-signature-256"] == f"sha256={digest}"
    assert "installation" not in letter.payload


async def test_all_hooks_that_are_told_of_an_event_are_given_one_id(
    github: GitHub, installation: Installation, inbox: Inbox, shop: Repository
) -> None:
    config = {"url": inbox.url, "content_type": "json"}
    async with asking(github, shop.owner) as client:
        body = {"config": config, "events": ["pull_request"]}
        assert (await client.post("/repos/acme/shop/hooks", json=body)).status_code == 201
    pull = shop.open_pull("feature", {"a.py": "1"})
    pull.close()
    await github.webhooks.settled()
    told = [each for each in inbox.letters if each.kind.startswith("pull_request")]
    ids = [each.headers["x-github-delivery"] for each in told]
    assert ["installation" in each.payload for each in told] == [True, False] * 2
    assert (ids[0], ids[2]) == (ids[1], ids[3])
    assert ids[0] != ids[2]


async def test_deliveries_are_held_reordered_and_doubled(
    github: GitHub, installation: Installation, inbox: Inbox, shop: Repository
) -> None:
    hooks = github.webhooks
    hooks.pause()
    await hooks.settled()
    hooks.waiting.clear()
    pull = shop.open_pull("feature", {"a.py": "1"})
    pull.close()
    assert [each.kind for each in hooks.waiting][-2:] == [
        "pull_request.opened",
        "pull_request.closed",
    ]
    hooks.waiting.reverse()
    hooks.waiting.append(hooks.waiting[0])
    expected = [each.kind for each in hooks.waiting]
    hooks.resume()
    await hooks.settled()
    assert inbox.kinds[-len(expected) :] == expected
    ids = [each.headers["x-github-delivery"] for each in inbox.letters]
    assert ids[-1] == ids[-len(expected)]
    hooks.times = 2
    pull.reopen()
    await hooks.settled()
    assert inbox.kinds[-2:] == ["pull_request.reopened"] * 2


async def test_deliveries_are_forgotten(
    github: GitHub, installation: Installation, inbox: Inbox, shop: Repository
) -> None:
    github.webhooks.forgets = lambda delivery: delivery.event == "pull_request"
    pull = shop.open_pull("feature", {"a.py": "1"})
    pull.close()
    await github.webhooks.settled()
    assert not any(kind.startswith("pull_request") for kind in inbox.kinds)
    lost = [each.kind for each in github.webhooks.log if each.statuses == []]
    assert lost == ["pull_request.opened", "pull_request.closed"]


async def test_deliveries_that_failed_are_sent_again(
    github: GitHub, app: App, installation: Installation, inbox: Inbox, shop: Repository
) -> None:
    await github.webhooks.settled()
    inbox.status = 503
    shop.commit("main", {"a.py": "1"})
    await github.webhooks.settled()
    inbox.status = 200
    async with asking(github, app) as client:
        listed = (await client.get("/app/hook/deliveries")).json()
        assert [each["status_code"] for each in listed] == [503, 200]
        path = f"/app/hook/deliveries/{listed[0]['id']}/attempts"
        assert (await client.post(path)).status_code == 202
    await github.webhooks.settled()
    first, second = inbox.letters[-2:]
    assert first == second
    app.hook_url = "http://127.0.0.1:1/"
    shop.commit("main", {"a.py": "2"})
    await github.webhooks.settled()
    assert github.webhooks.log[-1].statuses == [None]


async def test_a_wrong_payload_is_noticed(
    github: GitHub, installation: Installation, shop: Repository
) -> None:
    github.webhooks.tell("pull_request", {"action": "opened", "number": "1"}, shop, shop.owner)
    assert any('"pull_request" is a required property' in each for each in github.violations)
    github.webhooks.tell("pull_request", {"action": "exploded"}, shop, shop.owner)
    assert "webhook pull_request: there is no event pull_request-exploded" in github.violations
    github.violations.clear()


def test_the_real_examples_are_there() -> None:
    for event in (*EVENTS, "installation", "installation_repositories", "ping"):
        assert all(json.dumps(each) for each in examples(event)), event
