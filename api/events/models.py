"""The table of events."""

from datetime import datetime

from sqlalchemy import Column, Index, text
from sqlmodel import Field

from api.contract.base import Json
from api.db.columns import PlainJson, UtcDateTime
from api.db.row import Row


def _where(column: str) -> Index:
    some = text(f"{column} IS NOT NULL")
    return Index(f"event_{column}", column, sqlite_where=some, postgresql_where=some)


class EventRow(Row, table=True):
    """One line of the history. Rows are only ever added."""

    __tablename__ = "event"
    __table_args__ = (_where("app_id"), _where("install_id"))

    seq: int = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    actor: str
    action: str = Field(index=True)
    object_id: str = Field(index=True)
    app_id: str | None = None
    install_id: str | None = None
    before: Json = Field(default=None, sa_column=Column(PlainJson()))
    after: Json = Field(default=None, sa_column=Column(PlainJson()))
    previous_hash: str
    hash: str
