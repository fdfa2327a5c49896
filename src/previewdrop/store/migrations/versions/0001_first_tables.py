"""Projects, variables, previews, deployments, logs, and the job queue of Procrastinate."""

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("settings", JSONB, nullable=False, server_default="{}"),
        sa.Column("present", sa.Boolean, nullable=False, server_default="true"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
    )
    op.create_table(
        "variables",
        sa.Column("id", sa.Integer, primary_key=True),
        _belongs_to("project_id", "projects"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("secret", sa.Boolean, nullable=False),
        sa.Column("branch", sa.Text),
        sa.Column("preview", sa.Text),
    )
    op.create_index(
        "variables_once",
        "variables",
        ["project_id", "name", "branch", "preview"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "previews",
        sa.Column("id", sa.Integer, primary_key=True),
        _belongs_to("project_id", "projects"),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("branch", sa.Text, nullable=False),
        sa.Column("present", sa.Boolean, nullable=False, server_default="true"),
        sa.Column("commit", sa.Text),
        sa.Column("generation", sa.Integer, nullable=False, server_default="1"),
        sa.Column("reset_wanted", sa.Integer, nullable=False, server_default="0"),
        sa.Column("reset_done", sa.Integer, nullable=False, server_default="0"),
        sa.Column("state", sa.Text, nullable=False, server_default="pending"),
        sa.Column("waiting", sa.Text),
        sa.Column("live", sa.Integer),
        sa.Column("cache_number", sa.Integer),
        sa.Column("database", JSONB),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("pushed_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("last_request_at", sa.DateTime(timezone=True)),
    )
    op.create_index("previews_slug", "previews", ["project_id", "slug"], unique=True)
    op.create_index(
        "previews_cache_number",
        "previews",
        ["cache_number"],
        unique=True,
        postgresql_where=sa.text("cache_number IS NOT NULL"),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.Integer, primary_key=True),
        _belongs_to("preview_id", "previews"),
        sa.Column("commit", sa.Text, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="queued"),
        sa.Column("error", JSONB),
        sa.Column("stages", JSONB, nullable=False, server_default="[]"),
        sa.Column("notes", JSONB, nullable=False, server_default="[]"),
        sa.Column("made", JSONB, nullable=False, server_default="{}"),
        sa.Column("recipe", sa.LargeBinary),
        sa.Column("handle", JSONB),
        sa.Column("job_id", sa.BigInteger),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
    )
    op.create_index("deployments_preview", "deployments", ["preview_id", "id"])
    op.create_table(
        "log_chunks",
        sa.Column("id", sa.BigInteger, primary_key=True),
        _belongs_to("deployment_id", "deployments"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("lines", JSONB, nullable=False),
    )
    op.create_index("log_chunks_deployment", "log_chunks", ["deployment_id", "id"])
    _create_job_queue()


def downgrade() -> None:
    raise NotImplementedError("The first revision is not undone: drop the database instead.")


def _belongs_to(column: str, table: str) -> sa.Column[int]:
    key = sa.ForeignKey(f"{table}.id", ondelete="CASCADE")
    return sa.Column(column, sa.Integer, key, nullable=False)


def _create_job_queue() -> None:
    """Procrastinate's schema is one script of many statements: psycopg runs it whole."""
    op.get_bind().connection.cursor().execute(SchemaManager.get_schema())
