"""Webhook calls by the connection that took them: those of before are of nobody knows which."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("DELETE FROM deliveries")
    op.drop_constraint("deliveries_pkey", "deliveries", type_="primary")
    op.add_column("deliveries", sa.Column("forge_id", sa.Integer(), nullable=False))
    op.create_primary_key("deliveries_pkey", "deliveries", ["forge_id", "id"])


def downgrade() -> None:
    op.execute("DELETE FROM deliveries")
    op.drop_constraint("deliveries_pkey", "deliveries", type_="primary")
    op.drop_column("deliveries", "forge_id")
    op.create_primary_key("deliveries_pkey", "deliveries", ["id"])
