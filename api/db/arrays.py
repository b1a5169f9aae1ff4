"""PostgreSQL's arrays as text (its documentation, 8.15.6): the driver's own way takes ten times as long."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.types import TypeEngine


def array_of(of: TypeEngine[Any], dialect: Dialect) -> Callable[[Sequence[Any]], str]:
    """Gives what makes an array's text of values of a type, as it stands in a parameter."""
    process: Callable[[Any], Any] | None = None
    if not isinstance(of, LargeBinary):  # its own wraps the bytes for the driver
        process = of.dialect_impl(dialect).bind_processor(dialect)

    def array(values: Sequence[Any]) -> str:
        return "{" + ",".join([_element(process(value) if process else value) for value in values]) + "}"

    return array


def _element(value: Any) -> str:
    """One value. What is neither a number nor NULL is quoted, and is then read as its type reads it alone."""
    if value is None:
        return "NULL"
    if isinstance(value, int | float):  # and truth values
        return str(value)
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    text: str = value.isoformat(" ") if isinstance(value, datetime) else value
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
