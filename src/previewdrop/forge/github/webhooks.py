"""What we read of each webhook: https://docs.github.com/en/webhooks/webhook-events-and-payloads"""

from __future__ import annotations

from pydantic import StrictBool

from previewdrop.forge.github.payloads import (
    NOBODY,
    Commit,
    Id,
    Moment,
    Name,
    Number,
    OfInstallation,
    Payload,
    PullPayload,
    RepositoryPayload,
    Text,
    User,
)


class Hook(Payload):
    """What every webhook has. `installation` is missing in those of a repository's own hook."""

    action: Text = ""
    installation: OfInstallation | None = None

    @property
    def installed(self) -> int | None:
        return self.installation.id if self.installation else None


class PullHook(Hook):
    pull_request: PullPayload
    repository: RepositoryPayload


class HeadCommit(Payload):
    message: Text


class PushedRepository(RepositoryPayload):
    pushed_at: Moment
    """In seconds since 1970 here, in ISO 8601 elsewhere."""


class PushHook(Hook):
    ref: Name
    after: Commit
    deleted: StrictBool
    head_commit: HeadCommit | None
    repository: PushedRepository


class DeleteHook(Hook):
    ref: Name
    ref_type: str
    repository: RepositoryPayload


class Issue(Payload):
    number: Number
    pull_request: object = None
    """There for a pull request, missing for an issue."""


class CommentPayload(Payload):
    id: Id
    body: Text | None = ""
    user: User | None
    created_at: Moment

    @property
    def author(self) -> User:
        return self.user or NOBODY


class CommentHook(Hook):
    issue: Issue
    comment: CommentPayload
    repository: RepositoryPayload


class RepositoryHook(Hook):
    repository: RepositoryPayload


class InstallationHook(Payload):
    """`repositories` is not told with every action."""

    action: Text
    installation: OfInstallation
    repositories: tuple[RepositoryPayload, ...] | None = None


class GrantHook(Payload):
    installation: OfInstallation
    repositories_added: tuple[RepositoryPayload, ...] = ()
    repositories_removed: tuple[RepositoryPayload, ...] = ()
