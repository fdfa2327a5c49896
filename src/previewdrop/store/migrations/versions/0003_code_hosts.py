"""Code hosts, their pull requests, and what they told and were told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "forges",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("slug", sa.Text),
        sa.Column("app", sa.BigInteger),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False, server_default=sa.func.now()),
    )
    op.add_column(
        "projects",
        sa.Column("forge_id", sa.Integer, sa.ForeignKey("forges.id", ondelete="SET NULL")),
    )
    op.add_column("projects", sa.Column("repository", sa.BigInteger))
    op.add_column("projects", sa.Column("repository_name", sa.Text))
    op.add_column("projects", sa.Column("installation", sa.BigInteger))
    op.add_column("projects", sa.Column("pulls_mark", sa.Text))
    op.create_index("ix_projects_repository", "projects", ["repository"])
    op.add_column(
        "previews", sa.Column("secrets", sa.Boolean, nullable=False, server_default="true")
    )
    op.create_table(
        "pulls",
        sa.Column(
            "project_id",
            sa.Integer,
            sa.ForeignKey("projects.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("snapshot", JSONB, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("message", JSONB),
        sa.Column("marks", JSONB, nullable=False, server_default="[]"),
        sa.Column("expired", JSONB),
        sa.Column("reason", JSONB),
        sa.Column("comment", sa.BigInteger),
        sa.Column("environment", sa.BigInteger),
        sa.Column("told", JSONB, nullable=False, server_default="{}"),
        sa.Column("updated_at", _MOMENT, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at", _MOMENT, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "asks",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column(
            "project_id",
            sa.Integer,
            sa.ForeignKey("projects.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("comment", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("verb", sa.Text, nullable=False),
        sa.Column("commit", sa.Text),
        sa.Column("unknown", sa.Text),
        sa.Column("at", _MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("done", sa.Boolean, nullable=False, server_default="false"),
    )
    op.create_index("asks_once", "asks", ["project_id", "comment"], unique=True)


def downgrade() -> None:
    for table in ("asks", "deliveries", "pulls"):
        op.drop_table(table)
    op.drop_column("previews", "secrets")
    for column in ("pulls_mark", "installation", "repository_name", "repository", "forge_id"):
        op.drop_column("projects", column)
    op.drop_table("forges")
