"""where an install is"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("install", sa.Column("platform", sa.String(), nullable=True))
    op.add_column("install", sa.Column("region", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("install", "region")
    op.drop_column("install", "platform")
