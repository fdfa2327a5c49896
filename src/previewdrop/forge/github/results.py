"""What we read of the answers to our calls; `calls` has the links to each."""

from __future__ import annotations

from typing import Annotated, cast

from pydantic import Field, StrictBool

from previewdrop.forge.base import Written
from previewdrop.forge.events import Commented, Repository
from previewdrop.forge.github.payloads import (
    GHOST,
    NOBODY,
    Commit,
    Id,
    Label,
    Moment,
    Name,
    Payload,
    RepositoryPayload,
    Text,
    User,
)

Sendable = Annotated[str, Field(pattern=r"^[!-~]+\Z")]
"""What can be in a header."""


class TokenPayload(Payload):
    token: Sendable
    expires_at: Moment


class AppPayload(Payload):
    slug: Name


class Account(Payload):
    """A user, an organization, or an enterprise, which has no login."""

    login: Name | None = None
    slug: Name | None = None

    @property
    def name(self) -> str:
        return self.login or self.slug or GHOST


class InstallationPayload(Payload):
    id: Id
    account: Account
    html_url: Text
    suspended_at: Moment | None


class InstalledRepositories(Payload):
    repositories: tuple[RepositoryPayload, ...]


class Permissions(Payload):
    push: StrictBool = False


class OwnRepository(RepositoryPayload):
    permissions: Permissions = Permissions()


class PermissionPayload(Payload):
    permission: str


class DeploymentPayload(Payload):
    id: Id
    sha: Commit
    # An object where we made it, anything elsewhere.
    payload: object = None

    @property
    def commit(self) -> str:
        """What it was made for, where that is told, else what its branch led to at that time."""
        payload = self.payload
        told = cast("dict[str, object]", payload) if isinstance(payload, dict) else {}
        commit = told.get("commit")
        return commit if isinstance(commit, str) else self.sha


class DeploymentState(Payload):
    state: str


class HookConfig(Payload):
    url: str | None = None


class HookPayload(Payload):
    id: Id
    config: HookConfig


class ConversionPayload(Payload):
    id: Id
    slug: Name
    html_url: Text
    pem: str
    webhook_secret: str | None


class CommentPayload(Payload):
    id: Id
    body: Text | None = None
    user: User | None
    html_url: Text
    updated_at: Moment

    @property
    def author(self) -> str:
        return (self.user or NOBODY).login

    @property
    def written(self) -> Written:
        return Written(self.id, self.html_url, self.updated_at)


class RepositoryComment(CommentPayload):
    """A comment as a repository lists it: on a pull request or on an issue."""

    issue_url: Annotated[str, Field(pattern=r"/issues/[0-9]{1,9}\Z")]
    created_at: Moment

    @property
    def edited(self) -> bool:
        return self.updated_at != self.created_at

    @property
    def on_pull(self) -> bool:
        return "/pull/" in self.html_url

    def told(self, repository: Repository) -> Commented:
        author = self.user or NOBODY
        number = int(self.issue_url.rpartition("/")[2])
        body = self.body or ""
        return Commented(
            repository, number, self.id, author.login, author.bot, body, self.created_at
        )


class IssueEvent(Payload):
    """Something that happened to a pull request. There are many kinds, all of other shapes."""

    event: Text = ""


class LabelEvent(IssueEvent):
    """`labeled` or `unlabeled`."""

    actor: User | None = None
    created_at: Moment
    label: Label
