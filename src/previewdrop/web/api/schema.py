"""What the HTTP API takes and returns; `--json` prints the same objects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """A body of the API; a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """An error as RFC 9457 says, with `hint`: what to do next."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    hint: str | None = None


class StageView(Model):
    """A timed step. `state` is running, done, failed, skipped or cancelled."""

    name: str
    state: str
    seconds: float | None = None
    cached: bool = False
    note: str | None = None


class FailureView(Model):
    """Why a deployment failed: one sentence, what to do, and the last lines of the log."""

    stage: str
    message: str
    hint: str | None = None
    exit_code: int | None = None
    status: int | None = None
    log_tail: list[str] = []


class DeploymentView(Model):
    """One attempt to bring one commit live."""

    id: int
    commit: str
    title: str | None = None
    generation: int
    state: str
    error: FailureView | None = None
    seconds: float | None = None
    stages: list[StageView] = []
    notes: list[str] = []
    created_at: datetime
    finished_at: datetime | None = None


class DatabaseView(Model):
    name: str
    user: str
    schema_: str | None = Field(None, alias="schema", serialization_alias="schema")


class RedisView(Model):
    db: int


class PreviewView(Model):
    """A preview. `commit` is live, `desired_commit` is wanted; `deployment` is the latest one.

    `generation` counts what was asked for: a deployment of the same generation has answered it.
    `waiting` says what a preview waits for that has not begun, `warnings` what weakens it.
    """

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
    database: DatabaseView | None
    redis: RedisView | None
    deployment: DeploymentView | None
    waiting: str | None = None
    warnings: list[str] = []
    created_at: datetime
    last_request_at: datetime | None
    expires_at: datetime | None


class PreviewRequest(Model):
    """Asks for a preview of a branch, at its newest commit or at `commit`."""

    branch: str = Field(min_length=1, max_length=1024)
    number: int | None = Field(None, ge=1, lt=2**31)
    commit: str | None = Field(None, min_length=4, max_length=64)


class ProjectRequest(Model):
    """Adds a project: `source` is a Git URL or an absolute path on the server."""

    source: str = Field(min_length=1, max_length=4096)
    name: str | None = None
    settings: dict[str, Any] = {}


class ProjectPatch(Model):
    """Settings to set, by the dotted names of previewdrop.toml; null takes one back."""

    source: str | None = None
    settings: dict[str, Any] = {}


class ProjectView(Model):
    name: str
    source: str
    settings: dict[str, Any]
    previews: int
    created_at: datetime


class VariableRequest(Model):
    """A variable's value. For previews of branches that match `branch` only, or one `preview`."""

    value: str
    secret: bool = False
    branch: str | None = None
    preview: str | None = None


class VariableView(Model):
    """A variable; the value of a secret is never shown and is null."""

    name: str
    value: str | None
    secret: bool
    branch: str | None
    preview: str | None


class VariablesImport(Model):
    """The text of an env file; every name in it is set."""

    text: str
    secret: bool = False
    branch: str | None = None
    preview: str | None = None


class VariablesExport(Model):
    """An env file. Secrets are listed as comments without their value."""

    text: str


class LogEntry(Model):
    """One line: `source` is a stage of the deployment or a process of the preview."""

    source: str
    line: str
    at: datetime | None = None


class ExecRequest(Model):
    """A command to run inside the preview, with its environment."""

    command: list[str] = Field(min_length=1)
    timeout: float = Field(3600, gt=0)


class ConnectionView(Model):
    """How to reach the preview's data from the server's machine. Never logged."""

    database_url: str | None
    redis_url: str | None


class ServerView(Model):
    """The control plane: where it listens, what it uses, and what weakens it."""

    version: str
    url: str
    home: str
    edge_url: str
    runtime: str
    isolation: str
    isolated: bool
    services: dict[str, str]
    warnings: list[str] = []


class SignIn(Model):
    """An address for a browser, good once and for ten minutes."""

    url: str


class Health(Model):
    status: str
    version: str
