"""What the API takes and returns about GitHub."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from previewdrop.web.api.schema import Model, ProjectView


class GitHubRequest(Model):
    """`url` is GitHub's own address, `address` that of this server as GitHub reaches it.

    With a `token` nothing is left to do in a browser. `webhook` is the secret of webhooks that were
    made by hand; else one is made up.
    """

    url: str | None = Field(None, max_length=512)
    organization: str | None = None
    address: str | None = Field(None, max_length=512)
    token: SecretStr | None = Field(None, min_length=1, max_length=1024)
    webhook: SecretStr | None = Field(None, min_length=1, max_length=1024)


class GitHubConnection(Model):
    """A connected GitHub, without its secrets. `slug` is the App's, or the login of a person.

    `install_url` is where the repositories of an App are chosen. `webhooks` tells whether GitHub
    was given an address to send them to.
    """

    id: int
    kind: Literal["app", "token"]
    url: str
    slug: str | None
    app: int | None
    webhooks: bool
    install_url: str | None


class GitHubInstallation(Model):
    """An account where a connection's App is installed; at `url` its repositories are chosen."""

    connection: int
    account: str
    suspended: bool
    url: str


class GitHubInstallations(Model):
    installations: list[GitHubInstallation]
    warnings: list[str]


class AttemptView(Model):
    """A connection that was begun. `url` is to be opened in a browser, within an hour and once."""

    id: str | None = None
    url: str | None = None
    state: Literal["waiting", "connected", "failed"]
    error: str | None = None
    connection: GitHubConnection | None = None


class GitHubRepository(Model):
    """A repository within reach of a connection, and the projects that it is.

    `followed` tells whether its pull requests drive all of these; adding it makes it so.
    """

    name: str
    url: str
    private: bool
    connection: int
    projects: list[str]
    followed: bool


class GitHubRepositories(Model):
    repositories: list[GitHubRepository]
    warnings: list[str]


class GitHubProjectRequest(Model):
    """`repository` is `owner/name` or its URL."""

    repository: str = Field(min_length=1, max_length=1024)
    name: str | None = None


class GitHubProject(Model):
    """A project and its repository; `webhooks` tells whether GitHub will send what happens.

    `moved` are the projects of it that followed an older connection until now.
    """

    project: ProjectView
    repository: str
    moved: list[str]
    webhooks: bool
    warnings: list[str]
