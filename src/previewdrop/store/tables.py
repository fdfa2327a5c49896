"""The tables of the control plane's own state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = dict[str, Any]


class Base(DeclarativeBase):
    """Columns that hold JSON are JSONB, times carry their zone, texts have no length."""

    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads it from the class
        Json: JSONB(none_as_null=True),
        list[Json]: JSONB,
        list[str]: JSONB,
        str: Text,
        datetime: DateTime(timezone=True),
        bytes: LargeBinary,
    }


class Forge(Base):
    """A code host as one App or token sees it. `sealed` are its credentials as JSON, encrypted.

    `url` is its address for browsers; `app` and `slug` are the App's, null for a token.
    """

    __tablename__ = "forges"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    url: Mapped[str]
    slug: Mapped[str | None]
    app: Mapped[int | None] = mapped_column(BigInteger)
    sealed: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Project(Base):
    """A repository: `source` is its address without a password, `login` that, encrypted.

    `settings` are the server's, by the dotted names of previewdrop.toml. On a code host it is
    `repository` there, called `repository_name`, in the App's `installation`; `pulls_mark` is
    what the host gave with its last list of pull requests, and comments were looked at until
    `comments_read`, at first when it was linked. `present` is whether it is wanted; since
    `gone_at` it has no previews and no name any more, and only its host is to be told.
    """

    __tablename__ = "projects"
    __table_args__ = (
        Index("projects_name", "name", unique=True, postgresql_where=text("gone_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    source: Mapped[str]
    login: Mapped[bytes | None]
    settings: Mapped[Json] = mapped_column(server_default="{}")
    present: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    forge_id: Mapped[int | None] = mapped_column(ForeignKey("forges.id", ondelete="SET NULL"))
    repository: Mapped[int | None] = mapped_column(BigInteger, index=True)
    repository_name: Mapped[str | None]
    installation: Mapped[int | None] = mapped_column(BigInteger)
    pulls_mark: Mapped[str | None]
    gone_at: Mapped[datetime | None]
    comments_read: Mapped[datetime | None]


class Variable(Base):
    """A project's variable, encrypted. `branch` is a glob, `preview` a slug; both may be null."""

    __tablename__ = "variables"
    __table_args__ = (
        Index(
            "variables_once",
            "project_id",
            "name",
            "branch",
            "preview",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    value: Mapped[bytes]
    secret: Mapped[bool]
    branch: Mapped[str | None]
    preview: Mapped[str | None]


class Preview(Base):
    """A preview: what is wanted of it, and what it holds.

    Wanted: `present`, `commit`, `generation`, and `reset_wanted`, the generation at which the
    database must be a fresh one (`reset_done` the last at which it was). Held: `live` deployment,
    `cache_number`, `database` (its spec as JSON, without the password).
    """

    __tablename__ = "previews"
    __table_args__ = (
        Index("previews_slug", "project_id", "slug", unique=True),
        Index(
            "previews_cache_number",
            "cache_number",
            unique=True,
            postgresql_where=text("cache_number IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    slug: Mapped[str]
    number: Mapped[int | None]
    branch: Mapped[str]
    present: Mapped[bool] = mapped_column(server_default="true")
    commit: Mapped[str | None]
    generation: Mapped[int] = mapped_column(server_default="1")
    reset_wanted: Mapped[int] = mapped_column(server_default="0")
    reset_done: Mapped[int] = mapped_column(server_default="0")
    state: Mapped[str] = mapped_column(server_default="pending")
    waiting: Mapped[str | None]
    live: Mapped[int | None]
    cache_number: Mapped[int | None]
    database: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    pushed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_request_at: Mapped[datetime | None]
    secrets: Mapped[bool] = mapped_column(server_default="true")


class PullRequest(Base):
    """A pull request: the newest snapshot of it, what people said, and what its host was told.

    `message` is that of the head commit, `expired` when the preview was removed because nobody
    used it, `reason` why the head is not previewed. `comment` and `environment` are the ids of
    ours on the host, `told` digests of what these last said. Beside them are `seen`, the live
    deployment that was met through the edge, `begun`, whether an environment may have been made
    though its id is not known, and `over`, whether nothing more will be told.
    """

    __tablename__ = "pulls"

    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    snapshot: Mapped[Json]
    open: Mapped[bool]
    message: Mapped[Json | None]
    marks: Mapped[list[Json]] = mapped_column(server_default="[]")
    expired: Mapped[Json | None]
    reason: Mapped[Json | None]
    comment: Mapped[int | None] = mapped_column(BigInteger)
    environment: Mapped[int | None] = mapped_column(BigInteger)
    told: Mapped[Json] = mapped_column(server_default="{}")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Delivered(Base):
    """A webhook call that a connection took, so that one that is repeated does nothing twice.

    GitHub gives one id to the calls of all hooks that it tells of an event. `forge_id` is no
    foreign key: a call may come while its connection goes.
    """

    __tablename__ = "deliveries"

    forge_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class Ask(Base):
    """A command in a comment, to be done if its author may.

    `at` is the host's time at which it was written.
    `obeyed` tells whether it could be done, null before that; `done` that its author knows.
    """

    __tablename__ = "asks"
    __table_args__ = (Index("asks_once", "project_id", "comment", unique=True),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    number: Mapped[int]
    comment: Mapped[int] = mapped_column(BigInteger)
    author: Mapped[str]
    verb: Mapped[str]
    commit: Mapped[str | None]
    unknown: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    obeyed: Mapped[bool | None]
    done: Mapped[bool] = mapped_column(server_default="false")


class Deployment(Base):
    """One attempt. `made` is what its stages found and made, `handle` the runtime's.

    `database` is what became of the preview's database, once it is ready.
    """

    __tablename__ = "deployments"
    __table_args__ = (Index("deployments_preview", "preview_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    preview_id: Mapped[int] = mapped_column(ForeignKey("previews.id", ondelete="CASCADE"))
    commit: Mapped[str]
    title: Mapped[str | None]
    generation: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="queued")
    error: Mapped[Json | None]
    stages: Mapped[list[Json]] = mapped_column(server_default="[]")
    notes: Mapped[list[str]] = mapped_column(server_default="[]")
    made: Mapped[Json] = mapped_column(server_default="{}")
    recipe: Mapped[bytes | None]
    database: Mapped[Json | None]
    handle: Mapped[Json | None]
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class LogChunk(Base):
    """Lines of a deployment's log, redacted: a JSON array of [stage, line]."""

    __tablename__ = "log_chunks"
    __table_args__ = (Index("log_chunks_deployment", "deployment_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    lines: Mapped[list[Any]] = mapped_column(JSONB)
