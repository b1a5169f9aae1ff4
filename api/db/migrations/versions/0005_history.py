"""webhooks and what the history needs"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SCOPES = ("app_id", "install_id")


def upgrade() -> None:
    with op.batch_alter_table("event") as event:
        for column in _SCOPES:
            event.add_column(sa.Column(column, sa.String(), nullable=True))
    for column in _SCOPES:
        some = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"event_{column}", "event", [column], sqlite_where=some, postgresql_where=some)


def downgrade() -> None:
    for column in _SCOPES:
        op.drop_index(f"event_{column}", "event")
    with op.batch_alter_table("event") as event:
        for column in _SCOPES:
            event.drop_column(column)
