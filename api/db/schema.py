"""Every table, and bringing a database file to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError
from sqlmodel import SQLModel

import api.agents.models
import api.apps.models
import api.builds.models
import api.components.models
import api.db.idempotency
import api.deploys.models
import api.events.models
import api.installs.models
import api.jobs.models
import api.logins.models
import api.releases.models
import api.tickets.models
import api.tokens.models  # noqa: F401  (each import registers its tables)
from api.db.database import open_engine
from api.settings import UnusableDataError

metadata = SQLModel.metadata

_MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings for migrating over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def migrate(database: Path) -> None:
    """Bring a database file to the newest schema; make it if it isn't there.

    Raises UnusableDataError if a newer Exclave wrote it, or it isn't a database of Exclave's.
    """
    database.touch(mode=0o600)
    engine = open_engine(database)
    try:
        with engine.connect() as connection:
            command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise UnusableDataError(
            f"{database} is of a newer Exclave: {error}. Upgrade Exclave, or choose another folder"
        ) from error
    except DatabaseError as error:
        raise UnusableDataError(f"{database} can't be used: {error.orig}. Restore it, or choose another folder") from error
    finally:
        engine.dispose()
