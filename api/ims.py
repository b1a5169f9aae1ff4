"""One running IMS: what the routes share."""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import HTTPConnection

from api.db.database import Database
from api.jobs.payloads import Sources
from api.rate_limits import Limiter
from api.secrets.keys import KeyProvider
from api.secrets.vault import Vault
from api.settings import Settings


@dataclass(frozen=True)
class Ims:
    """Made by `app.create_app`, found by `get_ims`."""

    settings: Settings
    db: Database
    vault: Vault
    keys: KeyProvider
    limiter: Limiter

    @property
    def sources(self) -> Sources:
        """What job payloads are made of."""
        return Sources(self.vault, self.settings.public_url, self.settings.intervals.ticket)

    @property
    def logs(self) -> Path:
        """Where an earlier version kept job logs."""
        return self.settings.data / "logs"


def get_ims(connection: HTTPConnection) -> Ims:
    """The IMS that serves a request."""
    ims: Ims = connection.app.state.ims
    return ims
