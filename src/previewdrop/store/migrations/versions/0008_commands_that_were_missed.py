"""Since when comments of a linked project's repository were not looked at."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("projects", sa.Column("comments_read", sa.DateTime(timezone=True)))
    op.execute("UPDATE projects SET comments_read = now() WHERE forge_id IS NOT NULL")


def downgrade() -> None:
    op.drop_column("projects", "comments_read")
