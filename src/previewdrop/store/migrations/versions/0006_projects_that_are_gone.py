"""Projects that are gone but for what code hosts are still to be told of them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("projects", sa.Column("gone_at", sa.DateTime(timezone=True)))
    op.drop_constraint("projects_name_key", "projects", type_="unique")
    op.create_index(
        "projects_name",
        "projects",
        ["name"],
        unique=True,
        postgresql_where=sa.text("gone_at IS NULL"),
    )


def downgrade() -> None:
    op.execute("DELETE FROM projects WHERE gone_at IS NOT NULL")
    op.drop_index("projects_name", "projects")
    op.create_unique_constraint("projects_name_key", "projects", ["name"])
    op.drop_column("projects", "gone_at")
