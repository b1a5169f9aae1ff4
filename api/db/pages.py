"""Cursor paging over tables whose ids sort by time."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel.sql.expression import SelectOfScalar

from api.contract.base import Page
from api.db.transaction import Read

R = TypeVar("R")
T = TypeVar("T")


def page(
    tx: Read,
    query: SelectOfScalar[R],
    key: "InstrumentedAttribute[str] | Any",
    public: Callable[[R], T],
    *,
    limit: int,
    after: str | None,
    newest_first: bool = False,
) -> Page[T]:
    """One page of `query`, ordered by `key`, which is also the cursor."""
    if after:
        query = query.where(key < after if newest_first else key > after)
    rows = tx.all(query.order_by(key.desc() if newest_first else key).limit(limit + 1))
    name: str = key.key
    return Page(
        items=[public(row) for row in rows[:limit]], after=getattr(rows[limit - 1], name) if len(rows) > limit else None
    )
