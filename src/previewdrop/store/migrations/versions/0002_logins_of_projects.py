"""Logins of repositories, encrypted and apart from their addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Logins that stand in addresses are dropped: there is no key here to encrypt them with."""
    op.add_column("projects", sa.Column("login", sa.LargeBinary))
    # The first revision had no such column at first.
    op.execute("ALTER TABLE deployments ADD COLUMN IF NOT EXISTS recipe bytea")
    op.execute(r"UPDATE projects SET source = regexp_replace(source, '^(https?://)[^/@]*@', '\1')")


def downgrade() -> None:
    op.drop_column("projects", "login")
