"""who made a deploy; deploys that are yet to be planned"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_PENDING = sa.text("status = 'pending'")


def upgrade() -> None:
    op.add_column("deploy", sa.Column("created_by", sa.String(), nullable=False, server_default=""))
    op.create_index("deploy_pending", "deploy", ["id"], sqlite_where=_PENDING, postgresql_where=_PENDING)


def downgrade() -> None:
    op.drop_index("deploy_pending", table_name="deploy")
    op.execute("UPDATE deploy SET status = 'cancelled', ended_at = created_at WHERE status = 'pending'")
    op.drop_column("deploy", "created_by")
