"""PostgreSQL: one database for several replicas of the IMS.

`sole-writer` holds across replicas: a batch begins by taking an advisory lock that it keeps until its commit. So the rules
that read before they write, and the hash chain of the history, are as exact here as they are on SQLite; group commit makes up
for the waiting (decision 11).
"""

import contextlib
import json
import logging
import random
import secrets
import threading
from typing import Any

import psycopg
from psycopg.types.string import TextLoader
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from api.db.driver import Ring
from api.db.link import Link
from api.db.pipeline import PipelinedLink

_log = logging.getLogger(__name__)

_CHANNEL = "exclave"
_WRITER_LOCK = 0x65786C61
_LARGEST_NOTICE = 7900
"""Bytes; PostgreSQL takes less than 8,000."""
_STATEMENTS = 500
"""So many prepared statements a connection keeps. There are some 200; one too many, and those that are used all the time go."""
_LISTEN_SECONDS = 5.0
_RECONNECT_SECONDS = 5.0


def open_engine(url: str, *, read_only: bool = False, readers: int = 4) -> Engine:
    """An SQLAlchemy engine. A reader's transactions see one snapshot and refuse to write.

    A writer's don't, whatever the database's default is: a snapshot from before the lock wouldn't see the batch waited for.
    """
    options: dict[str, Any] = {"hide_parameters": True, "isolation_level": "READ COMMITTED"}
    if read_only:
        options |= {"pool_size": readers, "isolation_level": "REPEATABLE READ"}
    where = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(where, connect_args={"application_name": "exclave"}, **options)

    @event.listens_for(engine, "connect")
    def configure(connection: psycopg.Connection[Any], _: object) -> None:
        connection.adapters.register_loader("json", TextLoader)  # `columns` read it, with less work in between
        connection.prepared_max = _STATEMENTS

    return engine.execution_options(postgresql_readonly=True) if read_only else engine


class PostgresqlDriver:
    """See `driver.Driver`."""

    shared = True

    def __init__(self, url: str) -> None:
        self.writer = open_engine(url)
        self.reader = open_engine(url, read_only=True)
        self._name = secrets.token_hex(8)
        self._conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._stopping = threading.Event()
        self._listener: threading.Thread | None = None

    def link(self, connection: Connection) -> Link:
        """Few messages: each is a wait."""
        return PipelinedLink(connection)

    def take_turn(self, link: Link) -> None:
        """Wait for the other replicas' batches; the lock goes with the transaction, however it ends."""
        link.say("SELECT pg_advisory_xact_lock(%(key)s)", {"key": _WRITER_LOCK})

    def announce(self, link: Link, topics: set[str]) -> None:
        """One NOTIFY for the whole batch: PostgreSQL takes a lock for all commits that have one."""
        notice = json.dumps([self._name, sorted(topics)])
        if len(notice.encode()) > _LARGEST_NOTICE:
            notice = json.dumps([self._name, None])
        link.say("SELECT pg_notify(%(channel)s, %(notice)s)", {"channel": _CHANNEL, "notice": notice})

    def listen(self, ring: Ring) -> None:
        """Hear the other replicas on a thread of its own, which reconnects by itself."""
        self._listener = threading.Thread(target=self._listen, args=(ring,), name="db-listener", daemon=True)
        self._listener.start()

    def _listen(self, ring: Ring) -> None:
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True, application_name="exclave-listener") as connection:
                    connection.execute(f"LISTEN {_CHANNEL}")
                    ring(None)  # what was announced while nobody listened is lost: all who wait look again
                    while not self._stopping.is_set():
                        for notice in connection.notifies(timeout=_LISTEN_SECONDS, stop_after=1):
                            sender, topics = json.loads(notice.payload)
                            if sender != self._name:
                                ring(None if topics is None else set(topics))
            except psycopg.Error as error:
                _log.warning("lost the connection to PostgreSQL on which changes are heard: %s", str(error).strip())
                self._stopping.wait(random.uniform(0, _RECONNECT_SECONDS))  # noqa: S311 - spreads the replicas, hides nothing

    def close(self) -> None:
        """Close both engines, and end the listener."""
        self._stopping.set()
        if self._listener:
            with contextlib.suppress(DBAPIError), self.writer.begin() as connection:
                link = self.link(connection)
                self.announce(link, set())  # wakes our own listener, which then sees that it shall stop
                link.commit()
            self._listener.join()
        self.writer.dispose()
        self.reader.dispose()
