"""The fixture `github`: `from github_standin.fixture import github` in a test or a conftest."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from github_standin.github import GitHub
from github_standin.server import standing_in

__all__ = ["github"]


@pytest.fixture
def github(tmp_path: Path) -> Generator[GitHub]:
    """An empty GitHub for one test, which fails if anybody strayed from the real API."""
    with standing_in(tmp_path / "github") as github:
        yield github
