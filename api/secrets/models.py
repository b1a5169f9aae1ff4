"""The tables of data keys and of named secrets."""

from datetime import datetime
from typing import Literal

from sqlalchemy import Column, Index, LargeBinary, String, text
from sqlmodel import Field

from api.db.columns import UtcDateTime
from api.db.row import Row

DataKeyKind = Literal["data", "mac", "old"]
_CURRENT = "kind = 'data' AND retired_at IS NULL"


class DataKeyRow(Row, table=True):
    """A key wrapped by the key outside the database, which `wrapped_by` names.

    `data` keys seal values; the one that isn't retired seals new ones. `mac` makes fingerprints. `old` is the key with which an
    IMS sealed directly before there were data keys. While a rotation to a data key is under way, `position` says how far it
    came (`table/id`), `moved` how many values it has sealed anew, and `finished_at` is None.
    """

    __tablename__ = "data_key"
    __table_args__ = (
        Index("data_key_current", "kind", unique=True, sqlite_where=text(_CURRENT), postgresql_where=text(_CURRENT)),
    )

    id: str = Field(primary_key=True)
    kind: DataKeyKind = Field(sa_type=String)
    wrapped_by: str
    wrapped: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    position: str = ""
    moved: int = 0
    created_at: datetime = Field(sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SecretRow(Row, table=True):
    """A named secret of the vendor. `scope` is `all`, or the id of the app or install that alone may use it."""

    __tablename__ = "secret"
    __table_args__ = (
        Index(
            "secret_name",
            "scope",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    name: str
    scope: str
    version: int = 1
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    fingerprint: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
