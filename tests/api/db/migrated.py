"""New databases for tests whose subject isn't how one comes to be: migrating takes longer than most of them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from api.db.driver import Driver
from api.db.schema import open_database
from api.settings import Settings


def open_new(settings: Settings) -> Driver:
    """What `open_database` gives for a new database. A file of SQLite's is a copy of one that was migrated once."""
    if settings.database == "sqlite":
        settings.database_file.write_bytes(_newest())
    return open_database(settings)


@cache
def _newest() -> bytes:
    with TemporaryDirectory() as folder:
        settings = Settings(Path(folder), "http://ims.test")
        open_database(settings).close()
        return settings.database_file.read_bytes()
