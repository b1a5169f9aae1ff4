"""The tables of releases."""

from datetime import datetime

from sqlalchemy import Column, Index, String, UniqueConstraint
from sqlmodel import Field, col

from api.contract.base import Failure
from api.contract.resources import ReleaseStatus
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row
from api.labels import Labels


class ReleaseRow(Row, table=True):
    """A release."""

    __tablename__ = "release"
    __table_args__ = (UniqueConstraint("app_id", "number", name="release_number"),)

    id: str = Field(primary_key=True)
    app_id: str = Field(foreign_key="app.id")
    number: int
    status: ReleaseStatus = Field(sa_type=String)
    labels: dict[str, str] = Field(default_factory=dict, sa_column=Column(JsonOf(dict[str, str]), nullable=False))
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


class ReleaseSignatureRow(Row, table=True):
    """The document with which the vendor has signed a release as a whole, as it came."""

    __tablename__ = "release_signature"

    release_id: str = Field(foreign_key="release.id", primary_key=True)
    envelope: str
    public_key: str
    document: str
    signed_by: str
    stored_at: datetime = Field(sa_type=UtcDateTime)


class ReleaseLabelRow(Row, table=True):
    """One label of a release, to select by; `ReleaseRow.labels` has all of them, to be shown."""

    __tablename__ = "release_label"
    __table_args__ = (Index("release_label_value", "key", "value"),)

    release_id: str = Field(foreign_key="release.id", primary_key=True)
    key: str = Field(primary_key=True)
    value: str


LABELS = Labels(ReleaseLabelRow, col(ReleaseLabelRow.release_id), col(ReleaseLabelRow.key), col(ReleaseLabelRow.value))
