"""Cursor paging over tables whose ids sort by time."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel.sql.expression import SelectOfScalar

from api.contract.base import Page
from api.contract.problems import InvalidError
from api.db.transaction import Read

R = TypeVar("R")
T = TypeVar("T")


PREFIXES = {
    "agent": "agt",
    "app": "app",
    "build": "bld",
    "component": "cmp",
    "deploy": "dep",
    "install": "ins",
    "job": "job",
    "login_session": "ses",
    "release": "rel",
    "secret": "sec",
    "token": "tok",
    "webhook": "whk",
    "webhook_delivery": "msg",
}
"""What the ids of each table begin with: the cursor of a list is the id of the last one on the page."""


def check_cursor(key: "InstrumentedAttribute[str] | Any", after: str) -> None:
    """Raises InvalidError for a cursor that no page of this list has given. One of an object that is gone is good still."""
    if not re.fullmatch(rf"{PREFIXES[key.class_.__tablename__]}_[0-9a-z]{{26}}", after):
        raise InvalidError.at("after", "not a cursor of this list", "Give the `after` of the page before, or leave it out.")


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
    """One page of `query`, ordered by `key`, which is also the cursor. Raises InvalidError for a cursor of another list."""
    if after:
        check_cursor(key, after)
        query = query.where(key < after if newest_first else key > after)
    rows = tx.all(query.order_by(key.desc() if newest_first else key).limit(limit + 1))
    name: str = key.key
    return Page(
        items=[public(row) for row in rows[:limit]], after=getattr(rows[limit - 1], name) if len(rows) > limit else None
    )
