"""The settings of one IMS. The CLI builds them; nothing else reads the environment."""

from dataclasses import dataclass, field
from pathlib import Path

from api.contract.access import TokenRole


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


@dataclass(frozen=True)
class Rate:
    """So many calls at once, and so many in a minute from then on."""

    burst: int
    per_minute: float


@dataclass(frozen=True)
class RateLimits:
    """How often routes may be called that take a secret from somebody who isn't signed in yet.

    What one client address may do. Many agents can share one address, so each has a limit of its own beside it.
    """

    enroll: Rate = Rate(20, 20)
    sign_in: Rate = Rate(10_000, 10_000)
    sign_in_of_agent: Rate = Rate(20, 10)
    login: Rate = Rate(30, 30)
    registry_token: Rate = Rate(1000, 1000)


@dataclass(frozen=True)
class LoginRule:
    """Gives a role and a scope to people whose ID token has `value` in the claim `claim` (as its value, or one of a list)."""

    claim: str
    value: str
    role: TokenRole
    scope: str = "all"


@dataclass(frozen=True)
class Oidc:
    """The OpenID provider with which people log in. The first rule that fits counts; whom none fits may not enter."""

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    rules: tuple[LoginRule, ...]
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    name_claim: str = "email"
    session_seconds: float = 8 * 3600


@dataclass(frozen=True)
class Settings:
    """Where an IMS keeps its data, and under which URL agents and registries' clients reach it."""

    data: Path
    public_url: str
    intervals: Intervals = field(default_factory=Intervals)
    rate_limits: RateLimits = field(default_factory=RateLimits)
    oidc: Oidc | None = None

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data / "exclave.db"

    @property
    def secrets_key(self) -> Path:
        """The key that encrypts secret values: outside the database, mode 0600."""
        return self.data / "secrets.key"

    @property
    def admin_token(self) -> Path:
        """The first admin token, mode 0600."""
        return self.data / "admin.token"
