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


def downgrade() -> None:
    # What the older schema can't narrow would be wide open in it.
    op.execute("UPDATE token SET revoked_at = created_at WHERE app_id IS NOT NULL OR role <> 'admin' OR expires_at IS NOT NULL")
    with op.batch_alter_table("token") as table:
        table.drop_constraint("token_install", type_="foreignkey")
        table.drop_constraint("token_app", type_="foreignkey")
        for column in ("expires_at", "scope_name", "install_id", "app_id"):
            table.drop_column(column)
