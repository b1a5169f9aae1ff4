"""The table of builds."""

from datetime import datetime

from sqlalchemy import Column, String
from sqlmodel import Field

from api.contract.base import Failure
from api.contract.resources import Artifact, BuildStatus, ModuleOutput, ModuleVariable
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row


class BuildRow(Row, table=True):
    """A build of one config row."""

    __tablename__ = "build"

    id: str = Field(primary_key=True)
    app_id: str = Field(foreign_key="app.id", index=True)
    component_id: str = Field(foreign_key="component.id")
    config_id: str = Field(foreign_key="component_config.id", index=True)
    status: BuildStatus = Field(sa_type=String)
    source_revision: str | None = None
    artifact: Artifact | None = Field(default=None, sa_column=Column(JsonOf(Artifact)))
    variables: list[ModuleVariable] = Field(sa_column=Column(JsonOf(list[ModuleVariable]), nullable=False))
    outputs: list[ModuleOutput] = Field(sa_column=Column(JsonOf(list[ModuleOutput]), nullable=False))
    failure: Failure | None = Field(default=None, sa_column=Column(JsonOf(Failure)))
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
