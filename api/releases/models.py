"""The tables of releases."""

from datetime import datetime

from sqlalchemy import Column, String, UniqueConstraint
from sqlmodel import Field

from api.contract.base import Failure
from api.contract.resources import ReleaseStatus
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row


class ReleaseRow(Row, table=True):
    """A release."""

    __tablename__ = "release"
    __table_args__ = (UniqueConstraint("app_id", "number", name="release_number"),)

    id: str = Field(primary_key=True)
    app_id: str = Field(foreign_key="app.id")
    number: int
    status: ReleaseStatus = Field(sa_type=String)
    failure: Failure | None = Field(default=None, sa_column=Column(JsonOf(Failure)))
    created_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ReleaseBuildRow(Row, table=True):
    """One build of a release."""

    __tablename__ = "release_build"

    release_id: str = Field(foreign_key="release.id", primary_key=True)
    component: str = Field(primary_key=True)
    build_id: str = Field(foreign_key="build.id", index=True)
    reused: bool
