"""Deployments and their statuses, which make "View deployment" on a pull request."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from github_standin.accounts import Account

if TYPE_CHECKING:
    from github_standin.apps import App
    from github_standin.repository import Repository


@dataclass(eq=False, slots=True)
class DeploymentStatus:
    id: int
    state: str
    by: Account
    description: str
    environment: str
    environment_url: str
    log_url: str
    created_at: datetime


@dataclass(eq=False, slots=True)
class Deployment:
    """`statuses` are the oldest first; the newest is how it stands."""

    repository: Repository
    id: int
    sha: str
    ref: str
    task: str
    payload: Any
    environment: str
    description: str | None
    transient: bool
    production: bool
    by: Account
    app: App | None
    created_at: datetime
    updated_at: datetime
    statuses: list[DeploymentStatus] = field(default_factory=list[DeploymentStatus])

    @property
    def state(self) -> str | None:
        """How it stands; None if nothing was said yet."""
        return self.statuses[-1].state if self.statuses else None

    def add(self, status: DeploymentStatus, *, auto_inactive: bool) -> None:
        """A success makes earlier ones of the environment inactive, unless that is not wanted.

        GitHub does so for those that are neither transient nor production environments.
        """
        self.statuses.append(status)
        self.environment = status.environment
        self.updated_at = status.created_at
        if status.state != "success" or not auto_inactive:
            return
        for other in self.repository.deployments.values():
            same = other is not self and other.environment == self.environment
            if same and not other.transient and not other.production and other.state == "success":
                other.statuses.append(
                    DeploymentStatus(
                        self.repository.github.next_id(),
                        "inactive",
                        status.by,
                        "",
                        other.environment,
                        "",
                        "",
                        status.created_at,
                    )
                )
