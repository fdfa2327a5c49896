"""The API's objects as the command line reads them: plain JSON with names."""

from __future__ import annotations

from typing import Any, TypedDict


class Stage(TypedDict):
    name: str
    state: str
    seconds: float | None
    cached: bool
    note: str | None


class Failure(TypedDict):
    stage: str
    message: str
    hint: str | None
    exit_code: int | None
    status: int | None
    log_tail: list[str]


class Deployment(TypedDict):
    id: int
    commit: str
    title: str | None
    generation: int
    state: str
    error: Failure | None
    seconds: float | None
    stages: list[Stage]
    notes: list[str]
    created_at: str
    finished_at: str | None


class Database(TypedDict):
    name: str
    user: str
    schema: str | None


class Redis(TypedDict):
    db: int


class Preview(TypedDict):
    name: str
    project: str
    number: int | None
    branch: str
    state: str
    url: str
    docs_url: str
    health_url: str
    commit: str | None
    desired_commit: str | None
    generation: int
    database: Database | None
    redis: Redis | None
    deployment: Deployment | None
    waiting: str | None
    warnings: list[str]
    created_at: str
    last_request_at: str | None
    expires_at: str | None


class Project(TypedDict):
    name: str
    source: str
    settings: dict[str, Any]
    previews: int
    created_at: str


class Variable(TypedDict):
    name: str
    value: str | None
    secret: bool
    branch: str | None
    preview: str | None


class LogEntry(TypedDict):
    source: str
    line: str
    at: str | None


class Connection(TypedDict):
    database_url: str | None
    redis_url: str | None


class Connected(TypedDict):
    id: int
    kind: str
    url: str
    slug: str | None
    app: int | None
    webhooks: bool
    install_url: str | None


class GitHubAttempt(TypedDict):
    id: str | None
    url: str | None
    state: str
    error: str | None
    connection: Connected | None


class GitHubInstallation(TypedDict):
    connection: int
    account: str
    suspended: bool
    url: str


class GitHubInstallations(TypedDict):
    installations: list[GitHubInstallation]
    warnings: list[str]


class GitHubRepository(TypedDict):
    name: str
    url: str
    private: bool
    connection: int
    projects: list[str]
    followed: bool


class GitHubRepositories(TypedDict):
    repositories: list[GitHubRepository]
    warnings: list[str]


class GitHubProject(TypedDict):
    project: Project
    repository: str
    moved: list[str]
    webhooks: bool
    warnings: list[str]
