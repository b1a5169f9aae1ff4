"""Column types that SQLite and PostgreSQL treat alike."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import JSON, DateTime, Dialect
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite gives back naive values; they are UTC by this type's own doing."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a moment without an offset."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give SQLite's naive values their zone back."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        """As `process_bind_param`. SQLite's text, in SQLAlchemy's form, is made in one go."""
        return _text_of_moment if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """As `process_result_value`. SQLite's text is read in one go: most rows have several moments."""
        return _moment_from_text if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


@lru_cache(maxsize=256)
def _text_of_moment(value: datetime | None) -> str | None:
    """As SQLAlchemy writes it. Most of a transaction's moments are one, its `now`; equal moments have the same text."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return value.astimezone(UTC).isoformat(" ", "microseconds").removesuffix("+00:00")


def _moment_from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


class JsonOf(TypeDecorator[Any]):
    """A JSON column that holds one of the contract's types, checked on the way in and on the way out.

    `shared`: a type whose values never change once they are made. What is stored as the same text is then one object.
    """

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(self, of: Any, *, shared: bool = False) -> None:
        super().__init__()
        self.of = of
        self.shared = shared
        self._adapter = TypeAdapter(of)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:
        """To JSON as text."""
        plain = self._adapter.dump_python
        return lambda value: None if value is None else json.dumps(plain(value, mode="json"))

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """From the text, which both drivers hand out (see `postgresql.open_engine`)."""
        read = lru_cache(maxsize=4096)(self._adapter.validate_json) if self.shared else self._adapter.validate_json
        return lambda value: None if value is None else read(value)


class JsonText(str):
    """JSON as text, for a column of `PlainJson`."""

    __slots__ = ()


class PlainJson(TypeDecorator[Any]):
    """A JSON column that holds anything."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:
        """To text, unless it is."""
        return _text_of_json

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """From the text, as in `JsonOf`. SQLite makes a number of one."""
        return lambda value: json.loads(value) if isinstance(value, str) else value


def _text_of_json(value: Any) -> str | None:
    return value if value is None or isinstance(value, JsonText) else json.dumps(value)
