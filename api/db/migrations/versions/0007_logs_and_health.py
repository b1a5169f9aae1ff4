"""job logs and agents' health

Chunks of earlier versions keep `data` NULL: their files are taken over when the server starts (`api/jobs/log_files.py`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KEPT = sa.text("pruned_at IS NULL")
_ONLINE = sa.text("offline_since IS NULL AND revoked_at IS NULL")


def upgrade() -> None:
    op.add_column("log_chunk", sa.Column("data", sa.LargeBinary(), nullable=True))
    op.create_index("log_chunk_offset", "log_chunk", ["job_id", "attempt", "offset"])
    op.create_table(
        "job_log",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("full_attempt", sa.Integer(), nullable=True),
        sa.Column("watched_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"]),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_index("job_log_kept", "job_log", ["job_id"], sqlite_where=_KEPT, postgresql_where=_KEPT)
    op.execute("INSERT INTO job_log (job_id, bytes) SELECT job_id, SUM(size) FROM log_chunk GROUP BY job_id")
    op.create_table(
        "build_turn",
        sa.Column("app_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"]),
        sa.PrimaryKeyConstraint("app_id"),
    )
    op.add_column("agent", sa.Column("offline_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("agent", sa.Column("health_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("agent_online", "agent", ["last_seen_at"], sqlite_where=_ONLINE, postgresql_where=_ONLINE)
    op.create_table(
        "agent_health",
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("health", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agent.id"]),
        sa.PrimaryKeyConstraint("agent_id", "at"),
    )
    op.create_index(op.f("ix_agent_health_at"), "agent_health", ["at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_agent_health_at"), table_name="agent_health")
    op.drop_table("agent_health")
    op.drop_index("agent_online", table_name="agent")
    op.drop_column("agent", "health_at")
    op.drop_column("agent", "offline_since")
    op.drop_table("build_turn")
    op.drop_index("job_log_kept", table_name="job_log")
    op.drop_table("job_log")
    op.execute("DELETE FROM log_chunk WHERE data IS NOT NULL")  # an earlier version would look for their files
    op.drop_index("log_chunk_offset", table_name="log_chunk")
    op.drop_column("log_chunk", "data")
