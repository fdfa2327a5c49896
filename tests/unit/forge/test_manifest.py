"""The manifest of the App, and what GitHub hands over for its code."""

from __future__ import annotations

import pytest

from previewdrop.domain.errors import BadInput, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.forge.github.app import App
from previewdrop.forge.github.host import CLOUD, host
from previewdrop.forge.github.manifest import (
    PERMISSIONS,
    manifest,
    registered,
    registration_address,
)
from unit.forge.scripted import Scripted, answer

HOME = "https://preview.acme.com"


def test_the_manifest():
    made = manifest(
        "PreviewDrop of Acme",
        home=HOME,
        webhook=f"{HOME}/webhooks/github",
        redirect=f"{HOME}/github/registered",
        setup=f"{HOME}/github/installed",
    )
    assert made == {
        "name": "PreviewDrop of Acme",
        "url": HOME,
        "hook_attributes": {"url": f"{HOME}/webhooks/github", "active": True},
        "redirect_url": f"{HOME}/github/registered",
        "setup_url": f"{HOME}/github/installed",
        "setup_on_update": True,
        "description": "A live environment for every pull request.",
        "public": False,
        "default_permissions": {
            "metadata": "read",
            "contents": "read",
            "pull_requests": "write",
            "issues": "read",
            "statuses": "write",
            "deployments": "write",
        },
        "default_events": ["delete", "issue_comment", "pull_request", "push", "repository"],
    }


def test_a_machine_that_github_cannot_reach_gets_no_webhooks():
    made = manifest("x" * 40, home=HOME, webhook=None, redirect=HOME, setup=HOME)
    assert made["hook_attributes"] == {"url": "https://example.com/", "active": False}
    assert len(made["name"]) == 34


def test_every_permission_says_why():
    assert all(each.why and each.level in ("read", "write") for each in PERMISSIONS)


def test_where_the_form_goes():
    assert registration_address(CLOUD, "a b") == "https://github.com/settings/apps/new?state=a+b"
    assert registration_address(host("https://ghe.acme.com"), "s", "acme-corp") == (
        "https://ghe.acme.com/organizations/acme-corp/settings/apps/new?state=s"
    )
    with pytest.raises(BadInput):
        registration_address(CLOUD, "s", "acme/../x")


CONVERSION = {
    "id": 42,
    "slug": "previewdrop-of-acme",
    "html_url": "https://github.test/apps/previewdrop-of-acme",
    "client_id": "Iv23",
    "client_secret": "c",
    "webhook_secret": "w",
    "pem": "-----BEGIN RSA PRIVATE KEY-----",
}


async def test_a_code_becomes_an_app():
    github = Scripted(answer(CONVERSION, 201), answer(CONVERSION | {"webhook_secret": None}, 201))
    got = await registered(github.client(), "c0de_-1")
    assert got.app == App(42, Secret("-----BEGIN RSA PRIVATE KEY-----"), Secret("w"))
    assert got.slug == "previewdrop-of-acme"
    assert got.installation_address == (
        "https://github.test/apps/previewdrop-of-acme/installations/new"
    )
    assert github.places == ["POST /app-manifests/c0de_-1/conversions"]
    assert github.asked[0].token == ""
    assert not (await registered(github.client(), "c0de")).app.webhook


@pytest.mark.parametrize("code", ["", "a/../b", "a b", "x" * 129, "ä"])
async def test_what_is_no_code_is_not_sent(code: str):
    github = Scripted()
    with pytest.raises(BadInput):
        await registered(github.client(), code)


async def test_half_an_app_is_none():
    half = {key: value for key, value in CONVERSION.items() if key != "pem"}
    client = Scripted(answer(half, 201)).client()
    with pytest.raises(Unavailable, match="no pem"):
        await registered(client, "c0de")
