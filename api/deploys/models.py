"""The tables of deploys and their steps."""

from datetime import datetime

from sqlalchemy import Column, Index, LargeBinary, String, text
from sqlmodel import Field

from api.contract.approvals import Approver, Decision
from api.contract.base import Failure
from api.contract.components import ComponentConfig
from api.contract.replans import Replan
from api.contract.resources import Approval, DeployKind, DeployStatus, PlanSummary, StepKind
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row
from api.deploys.decide import StepPhase

PENDING = "deploys:pending"
"""The topic that is rung when there are deploys to plan: rows with the status `pending`."""


class DeployRow(Row, table=True):
    """A deploy. At most one is under way on an install: the index says so, not a lock in memory.

    A drift run counts by itself: one that is being cancelled doesn't hold up the deploy that takes its place.
    `sealed_inputs`: the install's inputs as they were when the deploy was planned, encrypted; each of its steps uses these.
    A deploy that is `pending` has neither these nor steps yet. `replan`: what it plans though nothing differs.
    """

    __tablename__ = "deploy"
    __table_args__ = (
        Index("deploy_install", "install_id", "id"),
        Index(
            "deploy_under_way",
            "install_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL AND kind <> 'drift'"),
            postgresql_where=text("ended_at IS NULL AND kind <> 'drift'"),
        ),
        Index(
            "drift_run_under_way",
            "install_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL AND kind = 'drift'"),
            postgresql_where=text("ended_at IS NULL AND kind = 'drift'"),
        ),
        Index("deploy_pending", "id", sqlite_where=text("status = 'pending'"), postgresql_where=text("status = 'pending'")),
    )

    id: str = Field(primary_key=True)
    app_id: str = Field(foreign_key="app.id")
    install_id: str = Field(foreign_key="install.id")
    release_id: str | None = Field(default=None, foreign_key="release.id")
    kind: DeployKind = Field(sa_type=String)
    status: DeployStatus = Field(sa_type=String)
    approval: Approval = Field(default="auto", sa_type=String)
    retry_of: str | None = None
    rollback_of: str | None = None
    replan: list[Replan] | None = Field(default=None, sa_column=Column(JsonOf(list[Replan])))
    inputs_version: int
    sealed_inputs: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    failure: Failure | None = Field(default=None, sa_column=Column(JsonOf(Failure)))
    version: int = 1
    created_by: str = Field(default="", sa_column_kwargs={"server_default": ""})
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class StepRow(Row, table=True):
    """One step. `config`, `digest` and `build_id` say what it works on; they don't change.

    `plan_digest` is that of the plan which a plan step's job saved. `conditional`: see `decide.StepState`.
    `due_at`: when an approval that is waited for expires.
    """

    __tablename__ = "step"
    __table_args__ = (
        Index("step_due", "due_at", sqlite_where=text("due_at IS NOT NULL"), postgresql_where=text("due_at IS NOT NULL")),
    )

    id: str = Field(primary_key=True)
    deploy_id: str = Field(foreign_key="deploy.id", index=True)
    position: int
    component: str
    kind: StepKind = Field(sa_type=String)
    phase: StepPhase = Field(sa_type=String)
    needs: list[str] = Field(sa_column=Column(JsonOf(list[str]), nullable=False))
    conditional: bool = False
    config: ComponentConfig = Field(sa_column=Column(JsonOf(ComponentConfig, shared=True), nullable=False))
    digest: str
    repository: str
    build_id: str = Field(foreign_key="build.id")
    fingerprint: str
    job_id: str | None = Field(default=None, index=True)
    replans: int = 0
    plan: PlanSummary | None = Field(default=None, sa_column=Column(JsonOf(PlanSummary)))
    plan_digest: str | None = None
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    left_out: bool = False
    outputs_changed: bool = False
    failure: Failure | None = Field(default=None, sa_column=Column(JsonOf(Failure)))
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ApprovalRow(Row, table=True):
    """One answer to one plan: that of `plan_job_id`, with `plan_digest`, and no other. It never changes."""

    __tablename__ = "approval"

    id: str = Field(primary_key=True)
    deploy_id: str = Field(foreign_key="deploy.id", index=True)
    step_id: str = Field(foreign_key="step.id")
    approver: Approver = Field(sa_type=String)
    plan_job_id: str
    plan_digest: str
    decision: Decision = Field(sa_type=String)
    decided_by: str
    note: str
    decided_at: datetime = Field(sa_type=UtcDateTime)
