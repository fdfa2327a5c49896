"""What a report shows of a preview, as plain facts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from previewdrop.domain.database import Change
from previewdrop.domain.preview import DeploymentState, Failure, StageName, StageState
from previewdrop.domain.reasons import Reason, Why


@dataclass(frozen=True, slots=True)
class StageFacts:
    """A timed step; `seconds` is None while it runs."""

    name: StageName
    state: StageState
    seconds: float | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """A deployment: one attempt to bring one commit live. Every text is redacted already."""

    id: int
    commit: str
    state: DeploymentState
    title: str | None = None
    seconds: float | None = None
    stages: tuple[StageFacts, ...] = ()
    notes: tuple[str, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """The preview's database, and what became of it with the deployment that is live."""

    name: str
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """The preview is not wanted any more; `done` when nothing of it is left."""

    done: bool
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is told about a preview of a pull request.

    `name` is `project/pr-42`, `ref` the branch, `head` the newest commit of the pull request,
    `desired` the one to be live, None if none. `live` is the deployment that serves, `newest` the
    latest one, which may be the same. `waiting` says what the preview waits for, `skipped` why
    `head` is not previewed. `details_url` leads to the preview's page on the dashboard.
    """

    name: str
    ref: str
    head: str
    url: str
    docs_url: str
    health_url: str
    desired: str | None = None
    live: Attempt | None = None
    newest: Attempt | None = None
    database: Database | None = None
    warnings: tuple[str, ...] = ()
    waiting: str | None = None
    skipped: Reason | None = None
    removal: Removal | None = None
    sleeping: bool = False
    details_url: str | None = None

    @property
    def project(self) -> str:
        return self.name.partition("/")[0]

    @property
    def upcoming(self) -> str | None:
        """The commit that a deployment will begin with, as soon as it can."""
        newest = self.newest
        if self.desired is None or self.removal is not None:
            return None
        if newest and newest.commit == self.desired and newest.state != DeploymentState.CANCELLED:
            return None
        return self.desired

    @property
    def beside(self) -> Attempt | None:
        """The newest deployment where it is not the one that serves: under way, or failed."""
        newest = self.newest
        if newest is None or newest.state in (DeploymentState.CANCELLED, DeploymentState.READY):
            return None
        if newest.state.ended and self.upcoming:
            return None
        return newest

    @property
    def down(self) -> bool:
        """Whether what was live does not answer any more and is being tried again."""
        return self.live is not None and self.waiting is not None and self.upcoming is None

    @property
    def unseen(self) -> Facts:
        """The same while what is live has not been met through the edge: it is not live yet."""
        newest = self.newest
        if newest and self.live and newest.id == self.live.id:
            newest = replace(newest, state=DeploymentState.DEPLOYING)
        return replace(self, live=None, newest=newest)

    @property
    def unapproved(self) -> bool:
        """Whether code of a fork waits for somebody's approval."""
        return self.skipped is not None and self.skipped.why is Why.UNAPPROVED
