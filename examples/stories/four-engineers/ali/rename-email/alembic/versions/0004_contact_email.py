"""rename users.email to contact_email

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("users", "email", new_column_name="contact_email")
    op.execute("ALTER INDEX ix_users_email RENAME TO ix_users_contact_email")


def downgrade() -> None:
    op.execute("ALTER INDEX ix_users_contact_email RENAME TO ix_users_email")
    op.alter_column("users", "contact_email", new_column_name="email")
