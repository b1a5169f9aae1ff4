"""The tables of jobs and their log chunks."""

from datetime import datetime

from sqlalchemy import Column, Index, LargeBinary, String, text
from sqlmodel import Field

from api.contract.agents import Cancel, JobKind, JobState
from api.contract.base import AgentKind, Failure
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row


class JobRow(Row, table=True):
    """A job. `(id, attempt)` is the fence: every lease of it raises `attempt`, and a report of another attempt is refused.

    `not_before`: of a queued job, when it may be tried again; of one whose agent was lost, when that agent is given up.
    """

    __tablename__ = "job"
    __table_args__ = (
        Index("job_queue", "state", "agent_kind", "install_id"),
        Index("job_due", "state", "not_before"),
        Index("job_agent", "agent_id", "state"),
        Index(
            "job_build", "build_id", sqlite_where=text("build_id IS NOT NULL"), postgresql_where=text("build_id IS NOT NULL")
        ),
        Index("job_install", "install_id", "id"),
    )

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


class LogChunkRow(Row, table=True):
    """One chunk of a job's log: `size` bytes of text from `offset` on, as the agent's own gzip member.

    `data` is the last column, so that a walk over offsets doesn't read it. It is None for a chunk of an IMS that kept logs as
    files, until `log_files` has taken it over.
    """

    __tablename__ = "log_chunk"
    __table_args__ = (Index("log_chunk_offset", "job_id", "attempt", "offset"),)

    job_id: str = Field(foreign_key="job.id", primary_key=True)
    attempt: int = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    offset: int
    size: int
    received_at: datetime = Field(sa_type=UtcDateTime)
    data: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


class JobLogRow(Row, table=True):
    """What is known of a job's log as a whole; the row is made with the first chunk, or when somebody first watches."""

    __tablename__ = "job_log"
    __table_args__ = (
        Index("job_log_kept", "job_id", sqlite_where=text("pruned_at IS NULL"), postgresql_where=text("pruned_at IS NULL")),
    )

    job_id: str = Field(foreign_key="job.id", primary_key=True)
    bytes: int = 0
    full_attempt: int | None = None
    watched_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    pruned_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class BuildTurnRow(Row, table=True):
    """When a build of an app was last leased: whose turn is next among apps that wait for the same build agents."""

    __tablename__ = "build_turn"

    app_id: str = Field(foreign_key="app.id", primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
