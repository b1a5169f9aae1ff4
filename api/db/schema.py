"""Every table, and bringing a database file to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
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
import api.releases.models
import api.tickets.models
import api.tokens.models  # noqa: F401  (each import registers its tables)
from api.db.database import open_engine

metadata = SQLModel.metadata

_MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings for migrating over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def migrate(database: Path) -> None:
    """Bring a database file to the newest schema; make it if it isn't there."""
    database.touch(mode=0o600)
    engine = open_engine(database)
    try:
        with engine.connect() as connection:
            command.upgrade(alembic_config(connection), "head")
    finally:
        engine.dispose()
