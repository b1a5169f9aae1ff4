"""Alembic's entry: migrates over the connection that `api.db.schema` hands in."""

from typing import Any, Literal

from alembic import context
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


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
