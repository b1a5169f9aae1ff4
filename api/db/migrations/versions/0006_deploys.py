"""labels, approvals, drift runs"""

import sqlalchemy as sa
from alembic import op

from api.db.columns import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UNDER_WAY = "ended_at IS NULL"
_DEPLOYS = "ended_at IS NULL AND kind <> 'drift'"
_DRIFT_RUNS = "ended_at IS NULL AND kind = 'drift'"


def _index(name: str, table: str, column: str, where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, [column], unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


# Columns are added and dropped in place: a table that others refer to cannot be made anew while it has rows.


def upgrade() -> None:
    op.add_column("install", sa.Column("approval_timeout_hours", sa.Integer(), nullable=True))
    op.add_column("install", sa.Column("labels", sa.JSON(), server_default="{}", nullable=False))
    op.add_column("install", sa.Column("drift_check_hours", sa.Integer(), nullable=True))
    op.add_column("install", sa.Column("drift_due_at", UtcDateTime(), nullable=True))
    _index("install_drift_due", "install", "drift_due_at", "drift_due_at IS NOT NULL")

    op.create_table(
        "install_label",
        sa.Column("install_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["install_id"], ["install.id"]),
        sa.PrimaryKeyConstraint("install_id", "key"),
    )
    op.create_index("install_label_value", "install_label", ["key", "value"])

    op.add_column("installed_component", sa.Column("drift_checked_at", UtcDateTime(), nullable=True))
    op.add_column("installed_component", sa.Column("drift", sa.JSON(), nullable=True))

    op.drop_index("deploy_under_way", "deploy")
    op.add_column("deploy", sa.Column("approval", sa.String(), server_default="auto", nullable=False))
    op.add_column("deploy", sa.Column("retry_of", sa.String(), nullable=True))
    op.add_column("deploy", sa.Column("rollback_of", sa.String(), nullable=True))
    _index("deploy_under_way", "deploy", "install_id", _DEPLOYS, unique=True)
    _index("drift_run_under_way", "deploy", "install_id", _DRIFT_RUNS, unique=True)

    op.add_column("step", sa.Column("plan_digest", sa.String(), nullable=True))
    op.add_column("step", sa.Column("due_at", UtcDateTime(), nullable=True))
    op.add_column("step", sa.Column("left_out", sa.Boolean(), server_default=sa.false(), nullable=False))
    _index("step_due", "step", "due_at", "due_at IS NOT NULL")

    op.create_table(
        "approval",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("deploy_id", sa.String(), nullable=False),
        sa.Column("step_id", sa.String(), nullable=False),
        sa.Column("approver", sa.String(), nullable=False),
        sa.Column("plan_job_id", sa.String(), nullable=False),
        sa.Column("plan_digest", sa.String(), nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["deploy_id"], ["deploy.id"]),
        sa.ForeignKeyConstraint(["step_id"], ["step.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_approval_deploy_id", "approval", ["deploy_id"])


def downgrade() -> None:
    op.drop_table("approval")
    op.drop_index("step_due", "step")
    for column in ("left_out", "due_at", "plan_digest"):
        op.drop_column("step", column)
    op.drop_index("drift_run_under_way", "deploy")
    op.drop_index("deploy_under_way", "deploy")
    # An earlier version knows neither drift runs nor approvals: runs under way end; what waited for a person fails.
    op.execute("UPDATE deploy SET status = 'cancelled', ended_at = created_at WHERE kind = 'drift' AND ended_at IS NULL")
    op.execute("UPDATE step SET phase = 'failed' WHERE kind = 'approve' AND phase IN ('waiting', 'active')")
    for column in ("rollback_of", "retry_of", "approval"):
        op.drop_column("deploy", column)
    _index("deploy_under_way", "deploy", "install_id", _UNDER_WAY, unique=True)
    op.drop_column("installed_component", "drift")
    op.drop_column("installed_component", "drift_checked_at")
    op.drop_table("install_label")
    op.drop_index("install_drift_due", "install")
    for column in ("drift_due_at", "drift_check_hours", "labels", "approval_timeout_hours"):
        op.drop_column("install", column)
