"""SQLite: the embedded database, one file that one process has open (see `server.lock`)."""

import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event

from api.db.driver import Ring
from api.db.link import Link, run


def open_engine(path: Path, *, read_only: bool = False) -> Engine:
    """An SQLAlchemy engine on one SQLite file, with the settings that everything else relies on."""
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver's own habit breaks savepoints
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "wal_autocheckpoint=4000",  # pages: whoever commits then moves them into the database's file, and waits for it
        ):
            connection.execute(f"PRAGMA {pragma}")
        if read_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        run(connection, "BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


class SqliteDriver:
    """See `driver.Driver`. No other process writes, so there is nobody to wait for, to tell or to hear."""

    shared = False

    def __init__(self, path: Path) -> None:
        self.writer = open_engine(path)
        self.reader = open_engine(path, read_only=True)

    def link(self, connection: Connection) -> Link:
        """Each statement at once: they are calls in this very process."""
        return Link(connection)

    def take_turn(self, link: Link) -> None:
        """BEGIN IMMEDIATE has done it."""

    def announce(self, link: Link, topics: set[str]) -> None:
        """Nobody else listens."""

    def listen(self, ring: Ring) -> None:
        """Nobody else announces."""

    def close(self) -> None:
        """Close both engines."""
        self.writer.dispose()
        self.reader.dispose()
