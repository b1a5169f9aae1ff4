"""The tables of installs and of what runs on them."""

from datetime import datetime

from sqlalchemy import Column, Index, LargeBinary, String, false, text
from sqlmodel import Field, col

from api.contract.base import Json, Platform
from api.contract.component_health import ComponentHealth
from api.contract.components import ComponentConfig
from api.contract.resources import Approval, ComponentStatus, PlanSummary
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row
from api.labels import Labels


class InstallRow(Row, table=True):
    """An install. The sensitive inputs are encrypted with a key outside the database."""

    __tablename__ = "install"
    __table_args__ = (
        Index(
            "install_name",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "install_drift_due",
            "drift_due_at",
            sqlite_where=text("drift_due_at IS NOT NULL"),
            postgresql_where=text("drift_due_at IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    app_id: str = Field(foreign_key="app.id", index=True)
    name: str
    inputs: dict[str, Json] = Field(sa_column=Column(JsonOf(dict[str, Json]), nullable=False))
    sealed_inputs: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    sensitive_fingerprints: dict[str, str] = Field(sa_column=Column(JsonOf(dict[str, str]), nullable=False))
    approval: Approval = Field(sa_type=String)
    approval_timeout_hours: int | None = None
    labels: dict[str, str] = Field(default_factory=dict, sa_column=Column(JsonOf(dict[str, str]), nullable=False))
    drift_check_hours: int | None = None
    drift_due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    heal_drift: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    platform: Platform | None = Field(default=None, sa_type=String)
    region: str | None = None
    inputs_version: int = 1
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class InstallLabelRow(Row, table=True):
    """One label of an install, to select by; `InstallRow.labels` has all of them, to be shown."""

    __tablename__ = "install_label"
    __table_args__ = (Index("install_label_value", "key", "value"),)

    install_id: str = Field(foreign_key="install.id", primary_key=True)
    key: str = Field(primary_key=True)
    value: str


LABELS = Labels(InstallLabelRow, col(InstallLabelRow.install_id), col(InstallLabelRow.key), col(InstallLabelRow.value))


class InstalledComponentRow(Row, table=True):
    """What one component of an install was last brought to, or is being brought to.

    `fingerprint` covers everything that went into it (see `deploys.planning`); None while it isn't cleanly deployed, so that
    the next deploy plans it again. The row goes when the component is destroyed. `drift` is what the last drift run found;
    a deploy forgets it. `health` is what the last apply, drift run or plan without changes found; None where nothing looks.
    """

    __tablename__ = "installed_component"

    install_id: str = Field(foreign_key="install.id", primary_key=True)
    name: str = Field(primary_key=True)
    status: ComponentStatus = Field(sa_type=String)
    release_id: str = Field(foreign_key="release.id", index=True)
    build_id: str = Field(foreign_key="build.id")
    config: ComponentConfig = Field(sa_column=Column(JsonOf(ComponentConfig, shared=True), nullable=False))
    digest: str
    repository: str
    fingerprint: str | None = None
    outputs: dict[str, Json] = Field(sa_column=Column(JsonOf(dict[str, Json]), nullable=False))
    sensitive_outputs: list[str] = Field(sa_column=Column(JsonOf(list[str]), nullable=False))
    updated_at: datetime = Field(sa_type=UtcDateTime)
    drift_checked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    drift: PlanSummary | None = Field(default=None, sa_column=Column(JsonOf(PlanSummary)))
    health: ComponentHealth | None = Field(default=None, sa_column=Column(JsonOf(ComponentHealth)))
    health_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    health_checked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
