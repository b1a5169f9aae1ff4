"""roles, scopes and logins"""

import sqlalchemy as sa
from alembic import op

from api.db.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("token") as table:
        table.add_column(sa.Column("app_id", sa.String(), nullable=True))
        table.add_column(sa.Column("install_id", sa.String(), nullable=True))
        table.add_column(sa.Column("scope_name", sa.String(), nullable=True))
        table.add_column(sa.Column("expires_at", UtcDateTime(timezone=True), nullable=True))
        table.create_foreign_key("token_app", "app", ["app_id"], ["id"])
        table.create_foreign_key("token_install", "install", ["install_id"], ["id"])
    op.create_table(
        "login_session",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("app_id", sa.String(), nullable=True),
        sa.Column("install_id", sa.String(), nullable=True),
        sa.Column("scope_name", sa.String(), nullable=True),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"]),
        sa.ForeignKeyConstraint(["install_id"], ["install.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_login_session_secret_hash", "login_session", ["secret_hash"])
    op.create_table(
        "device_login",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("device_hash", sa.String(), nullable=False),
        sa.Column("user_hash", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=True),
        sa.Column("denied", sa.Boolean(), nullable=False),
        sa.Column("expires_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["login_session.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_device_login_device_hash", "device_login", ["device_hash"])
    op.create_index("ix_device_login_user_hash", "device_login", ["user_hash"])


def downgrade() -> None:
    op.drop_table("device_login")
    op.drop_table("login_session")
    # What the older schema can't narrow would be wide open in it.
    op.execute("UPDATE token SET revoked_at = created_at WHERE app_id IS NOT NULL OR role <> 'admin' OR expires_at IS NOT NULL")
    with op.batch_alter_table("token") as table:
        table.drop_constraint("token_install", type_="foreignkey")
        table.drop_constraint("token_app", type_="foreignkey")
        for column in ("expires_at", "scope_name", "install_id", "app_id"):
            table.drop_column(column)
