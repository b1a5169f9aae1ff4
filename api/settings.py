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
    enrollment: float = 3600
    access_token: float = 900
    webhooks: float = 0.2
    """So long are changes gathered before webhooks are told of them."""


@dataclass(frozen=True)
class Settings:
    """Where an IMS keeps its data, and under which URL agents and registries' clients reach it."""

    data: Path
    public_url: str
    database_url: str | None = None
    """`postgresql://…`; None for SQLite in the data folder."""
    intervals: Intervals = field(default_factory=Intervals)
    webhooks_allow_private: tuple[str, ...] = ()
    """Networks (CIDR) that aren't public, to which webhooks may be sent all the same; there, plain http will do."""
    retention_jobs_days: int | None = None
    """After how many days ended jobs are forgotten; None keeps them for ever."""

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
