"""what PostgreSQL and the hot path need"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OF_BUILDS = sa.text("build_id IS NOT NULL")
_INDEXES = {
    "job_due": ("job", ["state", "not_before"]),
    "job_agent": ("job", ["agent_id", "state"]),
    "job_install": ("job", ["install_id", "id"]),
    "ix_step_job_id": ("step", ["job_id"]),
    "deploy_install": ("deploy", ["install_id", "id"]),
}


def upgrade() -> None:
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns)
    op.create_index("job_build", "job", ["build_id"], sqlite_where=_OF_BUILDS, postgresql_where=_OF_BUILDS)


def downgrade() -> None:
    op.drop_index("job_build", "job")
    for name, (table, _) in _INDEXES.items():
        op.drop_index(name, table)
