"""health of installed components"""

import sqlalchemy as sa
from alembic import op

from api.db.columns import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("installed_component", sa.Column("health", sa.JSON(), nullable=True))
    op.add_column("installed_component", sa.Column("health_since", UtcDateTime(), nullable=True))
    op.add_column("installed_component", sa.Column("health_checked_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    for column in ("health_checked_at", "health_since", "health"):
        op.drop_column("installed_component", column)
