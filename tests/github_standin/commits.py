"""What somebody says about a commit: statuses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from github_standin.accounts import Account

if TYPE_CHECKING:
    from github_standin.repository import Repository

MOST_STATUSES = 1000
"""Of one context on one commit."""


@dataclass(eq=False, slots=True)
class Status:
    """`state` is error, failure, pending or success."""

    repository: Repository
    id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    by: Account
    created_at: datetime


def newest(repository: Repository, sha: str) -> list[Status]:
    """One status a context."""
    found = {each.context: each for each in repository.statuses if each.sha == sha}
    return list(found.values())


def combined(statuses: list[Status]) -> str:
    """What all of them together mean."""
    states = {each.state for each in statuses}
    if states & {"error", "failure"}:
        return "failure"
    return "success" if states == {"success"} else "pending"
