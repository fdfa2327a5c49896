"""Fixtures: a conftest that says `from github_standin.fixture import …` has them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from github_standin import inbox as inboxes
from github_standin.github import GitHub
from github_standin.server import standing_in


@pytest.fixture
def github(tmp_path: Path) -> Generator[GitHub]:
    """An empty github.com for one test, which fails if anybody strayed from the real API."""
    with standing_in(tmp_path / "github") as github:
        yield github


@pytest.fixture
def enterprise(tmp_path: Path) -> Generator[GitHub]:
    """The same as an Enterprise Server: API, pages and Git on one address."""
    with standing_in(tmp_path / "enterprise", enterprise=True) as github:
        yield github


@pytest.fixture
def inbox() -> Generator[inboxes.Inbox]:
    """A receiver of webhooks."""
    with inboxes.inbox() as inbox:
        yield inbox
