"""What each kind of database does in its own way; everything else in `database` is the same for both."""

from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Connection, Engine

from api.db.link import Link

Ring = Callable[[set[str] | None], None]
"""Wakes those who wait on topics; None wakes everyone, to look again. Called from any thread."""


class Driver(Protocol):
    """One database. `api.db.sqlite` and `api.db.postgresql` have one each."""

    writer: Engine
    """Connections that may write. The database's one writer thread uses one at a time."""

    reader: Engine
    """Connections that refuse to write, each transaction with one view of the data."""

    shared: bool
    """Whether other processes write to the same database."""

    def link(self, connection: Connection) -> Link:
        """How the statements of a transaction reach the database."""

    def take_turn(self, link: Link) -> None:
        """`sole-writer`: wait until no other process writes, and keep the others out until this transaction ends."""

    def announce(self, link: Link, topics: set[str]) -> None:
        """Tell the other processes what has changed, when this transaction commits."""

    def listen(self, ring: Ring) -> None:
        """Begin to hear what other processes announce."""

    def close(self) -> None:
        """Let go of everything."""
