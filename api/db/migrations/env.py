"""Alembic's entry: migrates over the connection that `api.db.schema` hands in."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, text
from sqlmodel.sql.sqltypes import AutoString

from api.db.columns import JsonOf, UtcDateTime
from api.db.schema import metadata


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Write plain types into migrations: they must still run when our own types have changed."""
    if kind == "type" and isinstance(item, JsonOf):
        return "sa.JSON()"
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, AutoString):
        return "sa.String()"
    return False


_MIGRATING = 0x6578636C617665
"""The advisory lock of whoever migrates: `exclave`."""


def guard(connection: Connection) -> None:
    """On PostgreSQL, in the migration's own transaction: let one process migrate at a time, and never hold others up for long.

    Who comes second waits for the first, then finds nothing to do. A statement that needs a table for itself gives up soon:
    while it waits for one long query, every other query waits behind it. On SQLite the lock on the data folder does this.
    """
    if connection.dialect.name != "postgresql":
        return
    connection.execute(text("SET LOCAL statement_timeout = '10min'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
    connection.execute(text("SET LOCAL lock_timeout = '10s'"))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=render_item,
)
with context.begin_transaction():
    guard(context.config.attributes["connection"])
    context.run_migrations()
