"""One running IMS: what the routes share."""

from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import HTTPConnection

from api.agents.sessions import KnownSessions
from api.db.database import Database
from api.jobs.payloads import Sources
from api.rate_limits import Limiter
from api.secrets.keys import KeyProvider
from api.secrets.vault import Vault
from api.settings import Settings
from api.tickets.logins import LOGIN_PATH


@dataclass(frozen=True)
class Ims:
    """Made by `app.create_app`, found by `get_ims`."""

    settings: Settings
    db: Database
    vault: Vault
    keys: KeyProvider
    limiter: Limiter
    sessions: KnownSessions = field(default_factory=KnownSessions)

    @property
    def sources(self) -> Sources:
        """What job payloads are made of."""
        registry = self.settings.vendor_registry_url or self.settings.public_url
        login = self.settings.public_url + LOGIN_PATH if self.settings.vendor_registry_role_arn else ""
        return Sources(self.vault, registry, login, self.settings.intervals.ticket)

    @property
    def logs(self) -> Path:
        """Where an earlier version kept job logs."""
        return self.settings.data / "logs"


async def get_ims(connection: HTTPConnection) -> Ims:
    """The IMS that serves a request. A coroutine, as all dependencies are: FastAPI runs a plain function on a thread."""
    ims: Ims = connection.app.state.ims
    return ims
