"""Every table, and bringing a database to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, make_url
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
import api.releases.models
import api.tickets.models
import api.tokens.models
import api.webhooks.models  # noqa: F401  (each import registers its tables)
from api.db.driver import Driver
from api.db.sqlite import SqliteDriver
from api.settings import Settings, UnusableDataError

metadata = SQLModel.metadata

_MIGRATIONS = Path(__file__).parent / "migrations"


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings for migrating over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def open_database(settings: Settings) -> Driver:
    """The database of the settings, brought to the newest schema; a new SQLite file is made.

    Raises UnusableDataError if a newer Exclave wrote it, or it can't be reached, or isn't a database of Exclave's.
    """
    if settings.database_url:
        from api.db.postgresql import PostgresqlDriver  # only where it is used: psycopg is an extra

        driver: Driver = PostgresqlDriver(settings.database_url)
        where = make_url(settings.database_url).render_as_string(hide_password=True)
    else:
        settings.database.touch(mode=0o600)
        driver = SqliteDriver(settings.database)
        where = str(settings.database)
    try:
        migrate(driver.writer, where)
    except BaseException:
        driver.close()
        raise
    return driver


def migrate(engine: Engine, where: str) -> None:
    """Bring a database to the newest schema. Raises UnusableDataError, in which `where` names the database."""
    try:
        with engine.connect() as connection:
            command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise UnusableDataError(f"{where} is of a newer Exclave: {error}. Upgrade Exclave, or use another database") from error
    except DatabaseError as error:
        raise UnusableDataError(f"{where} can't be used: {error.orig}. Restore it, or use another database") from error
