"""One running IMS: what the routes share."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from starlette.requests import HTTPConnection

from api.agents.sessions import KnownSessions
from api.db.database import Database
from api.jobs.payloads import Sources
from api.rate_limits import Limiter
from api.secrets.keys import KeyProvider
from api.secrets.vault import Vault
from api.settings import Settings
from api.tickets.vendor_registry import places


@dataclass(frozen=True)
class Ims:
    """Made by `app.create_app`, found by `get_ims`."""

    settings: Settings
    db: Database
    vault: Vault
    keys: KeyProvider
    limiter: Limiter
    sessions: KnownSessions = field(default_factory=KnownSessions)

    @cached_property
    def sources(self) -> Sources:
        """What job payloads are made of."""
        found = places(self.settings)
        return Sources(self.vault, found.pushes, found.pulls, found.updates, self.settings.intervals.ticket)

    @property
    def logs(self) -> Path:
        """Where an earlier version kept job logs."""
        return self.settings.data / "logs"


async def get_ims(connection: HTTPConnection) -> Ims:
    """The IMS that serves a request. A coroutine, as all dependencies are: FastAPI runs a plain function on a thread."""
    ims: Ims = connection.app.state.ims
    return ims
