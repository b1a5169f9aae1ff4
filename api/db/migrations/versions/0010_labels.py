"""labels of apps and releases"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for of in ("app", "release"):
        op.add_column(of, sa.Column("labels", sa.JSON(), server_default="{}", nullable=False))
        op.create_table(
            f"{of}_label",
            sa.Column(f"{of}_id", sa.String(), nullable=False),
            sa.Column("key", sa.String(), nullable=False),
            sa.Column("value", sa.String(), nullable=False),
            sa.ForeignKeyConstraint([f"{of}_id"], [f"{of}.id"]),
            sa.PrimaryKeyConstraint(f"{of}_id", "key"),
        )
        op.create_index(f"{of}_label_value", f"{of}_label", ["key", "value"])


def downgrade() -> None:
    for of in ("release", "app"):
        op.drop_table(f"{of}_label")
        op.drop_column(of, "labels")
