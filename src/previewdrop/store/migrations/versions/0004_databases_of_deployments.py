"""What became of the database with each deployment."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("deployments", sa.Column("database", JSONB))


def downgrade() -> None:
    op.drop_column("deployments", "database")
