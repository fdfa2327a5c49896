"""The stand-in, with a repository and an App that may do all that PreviewDrop's may."""

from __future__ import annotations

import pytest

from github_standin.apps import App, Installation
from github_standin.fixture import enterprise, github, inbox
from github_standin.github import GitHub
from github_standin.inbox import Inbox
from github_standin.repository import Repository

__all__ = ["enterprise", "github", "inbox"]

PERMISSIONS = {
    "checks": "write",
    "contents": "read",
    "deployments": "write",
    "issues": "write",
    "pull_requests": "write",
    "repository_hooks": "write",
    "statuses": "write",
}
EVENTS = ("create", "delete", "issue_comment", "pull_request", "push", "repository")


@pytest.fixture
def shop(github: GitHub) -> Repository:
    """A private repository of acme's, where ali may write."""
    return make_shop(github)


@pytest.fixture
def app(github: GitHub, inbox: Inbox) -> App:
    return make_app(github, inbox.url)


@pytest.fixture
def installation(app: App, shop: Repository) -> Installation:
    return app.install(shop.owner, [shop])


def make_shop(github: GitHub) -> Repository:
    shop = github.repository("acme/shop", {"main.py": "print('hello')\n"}, private=True)
    shop.grant(github.user("ali"))
    return shop


def make_app(github: GitHub, hook_url: str) -> App:
    owner = github.organization("acme")
    return github.app(
        "PreviewDrop", owner=owner, hook_url=hook_url, permissions=PERMISSIONS, events=EVENTS
    )
