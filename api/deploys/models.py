"""The tables of deploys and their steps."""

from datetime import datetime

from sqlalchemy import Column, Index, LargeBinary, String, text
from sqlmodel import Field, SQLModel

from api.contract.base import Failure
from api.contract.components import ComponentConfig
from api.contract.resources import DeployKind, DeployStatus, PlanSummary, StepKind
from api.db.columns import JsonOf, UtcDateTime
from api.deploys.decide import StepPhase


class DeployRow(SQLModel, table=True):
    """A deploy. At most one is under way on an install: the index says so, not a lock in memory.

    `sealed_inputs`: the install's inputs as they were when the deploy was made, encrypted; each of its steps uses these.
    """

    __tablename__ = "deploy"
    __table_args__ = (
        Index(
            "deploy_under_way",
            "install_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    app_id: str = Field(foreign_key="app.id")
    install_id: str = Field(foreign_key="install.id")
    release_id: str | None = Field(default=None, foreign_key="release.id")
    kind: DeployKind = Field(sa_type=String)
    status: DeployStatus = Field(sa_type=String)
    inputs_version: int
    sealed_inputs: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    failure: Failure | None = Field(default=None, sa_column=Column(JsonOf(Failure)))
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class StepRow(SQLModel, table=True):
    """One step. `config`, `digest` and `build_id` say what it works on; they don't change."""

    __tablename__ = "step"

    id: str = Field(primary_key=True)
    deploy_id: str = Field(foreign_key="deploy.id", index=True)
    position: int
    component: str
    kind: StepKind = Field(sa_type=String)
    phase: StepPhase = Field(sa_type=String)
    needs: list[str] = Field(sa_column=Column(JsonOf(list[str]), nullable=False))
    conditional: bool = False
    config: ComponentConfig = Field(sa_column=Column(JsonOf(ComponentConfig), nullable=False))
    digest: str
    repository: str
    build_id: str = Field(foreign_key="build.id")
    fingerprint: str
    job_id: str | None = None
    replans: int = 0
    plan: PlanSummary | None = Field(default=None, sa_column=Column(JsonOf(PlanSummary)))
    outputs_changed: bool = False
    failure: Failure | None = Field(default=None, sa_column=Column(JsonOf(Failure)))
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
