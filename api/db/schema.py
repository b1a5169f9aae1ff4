"""Every table, and bringing a database to the newest schema."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text
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
import api.secrets.models
import api.tickets.models
import api.tokens.models
import api.webhooks.models  # noqa: F401  (each import registers its tables)
from api.db.driver import Driver
from api.db.ids import ALPHABET
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


@cache
def newest_version() -> str:
    """The newest migration that this version of Exclave has."""
    newest = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    assert newest
    return newest


def _unusable(engine: Engine, where: str, error: DatabaseError) -> UnusableDataError:
    """What the driver says, on one line, and what to do: a file may be damaged, a server be away or refuse the user."""
    remedy = "Restore it, or use another database"
    if engine.dialect.name == "postgresql":
        remedy = "Check host, user, password and name in the setting `database`, and that the server runs and can be reached"
    return UnusableDataError(f"{where} can't be used: {' '.join(str(error.orig).split()).rstrip('.')}. {remedy}")


def current_version(engine: Engine, where: str) -> str | None:
    """The migration that a database is at. Raises UnusableDataError, in which `where` names the database."""
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DatabaseError as error:
        raise _unusable(engine, where, error) from error


def open_database(settings: Settings) -> Driver:
    """The database of the settings, brought to the newest schema; a new SQLite file is made.

    Raises UnusableDataError if a newer Exclave wrote it, or it can't be reached, or isn't a database of Exclave's.
    """
    driver = driver_of(settings)
    try:
        migrate(driver.writer, settings.database_name)
    except BaseException:
        driver.close()
        raise
    return driver


def driver_of(settings: Settings) -> Driver:
    """The database of the settings as it is; a new SQLite file is made."""
    if settings.database == "sqlite":
        settings.database_file.touch(mode=0o600)
        return SqliteDriver(settings.database_file)
    try:
        from api.db.postgresql import PostgresqlDriver  # only where it is used: psycopg is an extra
    except ImportError as error:
        raise UnusableDataError(f"PostgreSQL needs the extra: pip install 'exclave[postgresql]' ({error})") from error
    return PostgresqlDriver(settings.database)


def migrate(engine: Engine, where: str) -> None:
    """Bring a database to the newest schema. Raises UnusableDataError, in which `where` names the database."""
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                _check_order(connection, where)
            at = MigrationContext.configure(connection).get_current_revision()
            connection.rollback()  # the migrations begin a transaction of their own
            if at != newest_version():
                command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise UnusableDataError(f"{where} is of a newer Exclave: {error}. Upgrade Exclave, or use another database") from error
    except DatabaseError as error:
        raise _unusable(engine, where, error) from error


def _check_order(connection: Connection, where: str) -> None:
    """`ids-sort-by-time`, in the database, too: some languages put y with i, or see one letter in `ch` or `aa`."""
    pairs = sorted(f"id_{first}{second}" for first in ALPHABET for second in ALPHABET)
    sort = text("SELECT id FROM unnest(CAST(:ids AS text[])) AS id ORDER BY id")
    if list(connection.scalars(sort, {"ids": pairs})) != pairs:
        raise UnusableDataError(
            f"{where} sorts text by the rules of a language in which ids don't sort by time. "
            "Make it anew: CREATE DATABASE ... TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8'"
        )
