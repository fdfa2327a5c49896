"""Whether a command was carried out, beside whether its author was told."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("asks", sa.Column("obeyed", sa.Boolean))


def downgrade() -> None:
    op.drop_column("asks", "obeyed")
