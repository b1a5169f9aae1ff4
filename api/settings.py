"""The settings of one IMS. The CLI builds them; nothing else reads the environment."""

from dataclasses import dataclass, field
from pathlib import Path


class UnusableDataError(ValueError):
    """A file in the data folder can't be used. The text names it, and says what to do."""


@dataclass(frozen=True)
class Intervals:
    """How long things may take, in seconds. The server tells agents theirs in every answer."""

    lease: float = 120
    heartbeat: float = 15
    long_poll: float = 50
    sweep: float = 1
    """How often expired leases and due retries are looked for."""
    unknown_before_requeue: float = 30
    """After a lease expired: how long its own agent may still come back before a job that may run twice is offered again."""
    unknown_before_failure: float = 3600
    """The same for a job that must not run twice (apply, destroy), after which it has failed."""
    ticket: float = 60
    """How long a pull ticket is good until its first use."""
    log_watched: float = 1
    """How long an agent lets log lines wait while somebody watches the log."""
    log_unwatched: float = 15
    watch: float = 45
    """How long somebody who asked for a log counts as watching it."""
    offline: float = 120
    """An agent not heard of for so long is called offline: more than two long polls, and the steps of `last_seen_at`."""
    enrollment: float = 3600
    access_token: float = 900


@dataclass(frozen=True)
class Settings:
    """Where an IMS keeps its data, and under which URL agents and registries' clients reach it."""

    data: Path
    public_url: str
    database_url: str | None = None
    """`postgresql://…`; None for SQLite in the data folder."""
    intervals: Intervals = field(default_factory=Intervals)
    retention_logs_days: float | None = 90
    """How long a job's log is kept after the job ended; None keeps it for ever."""
    retention_health_days: float | None = 30
    """How long the history of agents' health is kept."""

    @property
    def database(self) -> Path:
        """The SQLite file, which is used where there is no `database_url`."""
        return self.data / "exclave.db"

    @property
    def secrets_key(self) -> Path:
        """The key that encrypts secret values: outside the database, mode 0600."""
        return self.data / "secrets.key"

    @property
    def admin_token(self) -> Path:
        """The first admin token, mode 0600."""
        return self.data / "admin.token"
