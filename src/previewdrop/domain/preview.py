"""Previews, deployments and stages: their states and which state may follow which."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PreviewState(StrEnum):
    """What people see of a preview."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    SLEEPING = "sleeping"
    REMOVED = "removed"


class DeploymentState(StrEnum):
    """How far one attempt to bring one commit live has come."""

    QUEUED = "queued"
    BUILDING = "building"
    DEPLOYING = "deploying"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (DeploymentState.READY, DeploymentState.FAILED, DeploymentState.CANCELLED)


class StageName(StrEnum):
    """The stages of a deployment, in the order in which people read them."""

    CHECKOUT = "checkout"
    DETECT = "detect"
    BUILD = "build"
    DATABASE = "database"
    CACHE = "cache"
    RELEASE = "release"
    START = "start"
    HEALTH = "health"
    POST_DEPLOY = "post-deploy"
    ROUTE = "route"
    REPORT = "report"


class StageState(StrEnum):
    """What became of a stage. A stage that the deployment does not need is `skipped`."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


_NEXT: dict[DeploymentState, frozenset[DeploymentState]] = {
    DeploymentState.QUEUED: frozenset(
        {DeploymentState.BUILDING, DeploymentState.FAILED, DeploymentState.CANCELLED}
    ),
    DeploymentState.BUILDING: frozenset(
        {DeploymentState.DEPLOYING, DeploymentState.FAILED, DeploymentState.CANCELLED}
    ),
    DeploymentState.DEPLOYING: frozenset(
        {DeploymentState.READY, DeploymentState.FAILED, DeploymentState.CANCELLED}
    ),
    DeploymentState.READY: frozenset(),
    DeploymentState.FAILED: frozenset(),
    DeploymentState.CANCELLED: frozenset(),
}


def may_follow(before: DeploymentState, after: DeploymentState) -> bool:
    """Whether a deployment may go from one state to the other."""
    return after in _NEXT[before]


def sources_of(after: DeploymentState) -> frozenset[DeploymentState]:
    """The states from which `after` may be entered: the guard of an update in the store."""
    return frozenset(state for state, following in _NEXT.items() if after in following)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a deployment failed, as people read it; every text is redacted."""

    stage: str
    message: str
    hint: str | None = None
    exit_code: int | None = None
    status: int | None = None
    log_tail: tuple[str, ...] = ()
