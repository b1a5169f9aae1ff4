"""The tables of components and their configs."""

from datetime import datetime

from sqlalchemy import Column, Index, String, UniqueConstraint, text
from sqlmodel import Field

from api.contract.components import ComponentConfig, ComponentKind
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row


class ComponentRow(Row, table=True):
    """A component. `version` names its newest config."""

    __tablename__ = "component"
    __table_args__ = (
        Index(
            "component_name",
            "app_id",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    app_id: str = Field(foreign_key="app.id")
    name: str
    kind: ComponentKind = Field(sa_type=String)
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ComponentConfigRow(Row, table=True):
    """One config of a component. Equal checksums mean equal configs (see `service.checksum`)."""

    __tablename__ = "component_config"
    __table_args__ = (UniqueConstraint("component_id", "version", name="component_config_version"),)

    id: str = Field(primary_key=True)
    component_id: str = Field(foreign_key="component.id")
    version: int
    config: ComponentConfig = Field(sa_column=Column(JsonOf(ComponentConfig, shared=True), nullable=False))
    checksum: str
    created_at: datetime = Field(sa_type=UtcDateTime)
