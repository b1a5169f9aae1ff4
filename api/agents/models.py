"""The tables of agents."""

from datetime import datetime

from sqlalchemy import Column, Index, String, text
from sqlmodel import Field

from api.contract.base import AgentKind
from api.contract.health import Health
from api.db.columns import JsonOf, UtcDateTime
from api.db.row import Row


class AgentRow(Row, table=True):
    """An agent, known by its own public key. Its current access token is stored as a hash; a newer sign-in replaces it.

    `nonces` has the sign-ins that could be replayed still: each nonce with its timestamp. `offline_since` is set once the
    sweep has told the history that the agent is away; `health_at` names its newest `agent_health` row.
    """

    __tablename__ = "agent"
    __table_args__ = (
        Index(
            "agent_online",
            "last_seen_at",
            sqlite_where=text("offline_since IS NULL AND revoked_at IS NULL"),
            postgresql_where=text("offline_since IS NULL AND revoked_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    name: str
    kind: AgentKind = Field(sa_type=String)
    install_id: str | None = Field(default=None, foreign_key="install.id", index=True)
    public_key: str
    vendor_key: str | None = None
    sealing_key: str | None = None
    version: str
    platform: str
    access_hash: str | None = Field(default=None, index=True)
    access_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    nonces: dict[str, int] = Field(default_factory=dict, sa_column=Column(JsonOf(dict[str, int]), nullable=False))
    enrolled_at: datetime = Field(sa_type=UtcDateTime)
    last_seen_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    offline_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    health_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AgentHealthRow(Row, table=True):
    """What an agent said of itself in one minute."""

    __tablename__ = "agent_health"

    agent_id: str = Field(foreign_key="agent.id", primary_key=True)
    at: datetime = Field(sa_column=Column(UtcDateTime, primary_key=True, index=True))
    health: Health = Field(sa_column=Column(JsonOf(Health), nullable=False))


class AgentUpdateRow(Row, table=True):
    """What a job `update_agent` offers."""

    __tablename__ = "agent_update"

    job_id: str = Field(foreign_key="job.id", primary_key=True)
    version: str
    digest: str


class EnrollmentRow(Row, table=True):
    """A one-time enrolment token, as a hash. `agent_id` is set by its first and only use."""

    __tablename__ = "enrollment"

    id: str = Field(primary_key=True)
    kind: AgentKind = Field(sa_type=String)
    install_id: str | None = Field(default=None, foreign_key="install.id")
    secret_hash: str = Field(index=True)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    agent_id: str | None = Field(default=None, foreign_key="agent.id")
    created_at: datetime = Field(sa_type=UtcDateTime)
