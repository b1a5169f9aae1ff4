"""The table of tickets."""

from datetime import datetime

from sqlalchemy import Column, String
from sqlmodel import Field

from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row


class TicketRow(Row, table=True):
    """A ticket of one attempt of one job. `digests` is None for a push."""

    __tablename__ = "ticket"

    id: str = Field(primary_key=True)
    secret_hash: str
    action: str = Field(sa_type=String)
    repository: str
    digests: list[str] | None = Field(default=None, sa_column=Column(JsonOf(list[str])))
    job_id: str = Field(foreign_key="job.id", index=True)
    attempt: int
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
