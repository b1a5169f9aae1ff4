"""The tables of jobs and their log chunks."""

from datetime import datetime

from sqlalchemy import Column, Index, String
from sqlmodel import Field, SQLModel

from api.contract.agents import Cancel, JobKind, JobState
from api.contract.base import AgentKind, Failure
from api.db.columns import JsonOf, UtcDateTime


class JobRow(SQLModel, table=True):
    """A job. `(id, attempt)` is the fence: every lease of it raises `attempt`, and a report of another attempt is refused."""

    __tablename__ = "job"
    __table_args__ = (Index("job_queue", "state", "agent_kind", "install_id"),)

    id: str = Field(primary_key=True)
    kind: JobKind = Field(sa_type=String)
    agent_kind: AgentKind = Field(sa_type=String)
    install_id: str | None = Field(default=None, foreign_key="install.id")
    build_id: str | None = Field(default=None, foreign_key="build.id")
    step_id: str | None = Field(default=None, foreign_key="step.id")
    state: JobState = Field(sa_type=String)
    attempt: int = 0
    agent_id: str | None = Field(default=None, foreign_key="agent.id")
    cancel: Cancel = Field(default="none", sa_type=String)
    failure: Failure | None = Field(default=None, sa_column=Column(JsonOf(Failure)))
    not_before: datetime | None = Field(default=None, sa_type=UtcDateTime)
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class LogChunkRow(SQLModel, table=True):
    """Where one chunk of a job's log begins, in bytes of text; the gzip file lies beside the database."""

    __tablename__ = "log_chunk"

    job_id: str = Field(foreign_key="job.id", primary_key=True)
    attempt: int = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    offset: int
    size: int
    received_at: datetime = Field(sa_type=UtcDateTime)
