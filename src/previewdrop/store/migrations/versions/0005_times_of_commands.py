"""When a command was written, by its host, beside when it was heard."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column(
        "asks", sa.Column("heard_at", moment, nullable=False, server_default=sa.func.now())
    )


def downgrade() -> None:
    op.drop_column("asks", "heard_at")
