"""The part of GitHub's App flow that happens in a browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from github_standin.asking import asking
from github_standin.github import GitHub
from github_standin.inbox import Inbox
from github_standin.repository import Repository

SITE = "https://previews.example.com"


def manifest(hook: str = SITE, **more: object) -> dict[str, Any]:
    return {
        "name": "PreviewDrop of acme",
        "url": SITE,
        "hook_attributes": {"url": hook},
        "redirect_url": f"{SITE}/github/created",
        "setup_url": f"{SITE}/github/installed",
        "public": False,
        "default_permissions": {"contents": "read", "issues": "read", "pull_requests": "write"},
        "default_events": ["pull_request", "push", "issue_comment", "repository", "delete"],
        **more,
    }


async def submit(github: GitHub, filled_in: object, owner: str = "") -> httpx2.Response:
    async with asking(github) as client:
        data = {"manifest": json.dumps(filled_in)}
        return await client.post(f"{github.web}{owner}/settings/apps/new?state=s1", data=data)


async def test_an_app_is_made_and_installed(github: GitHub, shop: Repository, inbox: Inbox) -> None:
    answer = await submit(github, manifest(inbox.url), "/organizations/acme")
    assert answer.status_code == 302, answer.text
    target = urlsplit(answer.headers["Location"])
    assert target.path == "/github/created"
    query = parse_qs(target.query)
    assert query["state"] == ["s1"]
    async with asking(github) as client:
        convert = f"/app-manifests/{query['code'][0]}/conversions"
        made = (await client.post(convert)).json()
        assert (await client.post(convert)).status_code == 404, "a code works once"
        assert made["owner"]["login"] == "acme"
        assert made["pem"].startswith("-----BEGIN RSA PRIVATE KEY-----")
        github.choice = shop.owner, [shop]
        page = f"{github.web}/apps/{made['slug']}/installations/new"
        installed = await client.get(page, params={"state": "s2"})
    query = parse_qs(urlsplit(installed.headers["Location"]).query)
    (installation,) = github.installations
    assert query == {
        "installation_id": [str(installation.id)],
        "setup_action": ["install"],
        "state": ["s2"],
    }
    assert installation.sees(shop)
    await github.webhooks.settled()
    assert inbox.kinds == ["ping", "installation.created"]


async def test_codes_expire(github: GitHub) -> None:
    github.user("ali")
    answer = await submit(github, manifest())
    github.clock.advance(hours=1)
    code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
    async with asking(github) as client:
        assert (await client.post(f"/app-manifests/{code}/conversions")).status_code == 404


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.pop("url"), "url is not a URL"),
        (lambda m: m.pop("redirect_url"), "redirect_url is missing"),
        (lambda m: m["hook_attributes"].pop("url"), "hook_attributes.url is not a URL"),
        (lambda m: m.update(name="n" * 35), "Name is too long"),
        (lambda m: m.update(webhook_url=SITE), "webhook_url is not known"),
        (lambda m: m.update(public="no"), "public is not of type bool"),
        (lambda m: m["default_permissions"].update(statuses="admin"), "Default permissions"),
        (lambda m: m["default_permissions"].update(coffee="read"), "Default permissions"),
        (lambda m: m["default_events"].append("installation"), "unsupported: installation"),
        (lambda m: m["default_events"].append("coffee"), "unsupported: coffee"),
        (lambda m: m["default_events"].append("status"), "status is not supported without"),
        (lambda m: m.update(default_permissions={}), "pull_request is not supported without"),
    ],
)
async def test_a_wrong_manifest(
    github: GitHub, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    github.user("ali")
    wrong = manifest()
    change(wrong)
    answer = await submit(github, wrong)
    assert answer.status_code == 422
    assert said in answer.text
    assert not github.apps


async def test_a_name_is_taken(github: GitHub) -> None:
    github.user("ali")
    assert (await submit(github, manifest())).status_code == 302
    assert "already taken" in (await submit(github, manifest())).text
