"""The table of events."""

from datetime import datetime

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel

from api.contract.base import Json
from api.db.columns import UtcDateTime


class EventRow(SQLModel, table=True):
    """One line of the history. Rows are only ever added."""

    __tablename__ = "event"

    seq: int = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    actor: str
    action: str = Field(index=True)
    object_id: str = Field(index=True)
    before: Json = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    after: Json = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    previous_hash: str
    hash: str
