"""Reading the history, and checking that nobody has changed it."""

from collections.abc import Iterable

from sqlmodel import col, select

from api.contract.base import Page
from api.contract.resources import Event
from api.db.transaction import Read
from api.events.chain import GENESIS, hash_of
from api.events.models import EventRow


def public(row: EventRow) -> Event:
    """A row as the API shows it."""
    return Event.model_validate(row.model_dump())


def page(tx: Read, *, limit: int, after: str | None, object_id: str | None, action: str | None) -> Page[Event]:
    """One page of the history, oldest first; the cursor is the last line's number."""
    query = select(EventRow).order_by(col(EventRow.seq)).limit(limit + 1)
    if after:
        query = query.where(EventRow.seq > int(after))
    if object_id:
        query = query.where(EventRow.object_id == object_id)
    if action:
        query = query.where(EventRow.action == action)
    rows = tx.all(query)
    return Page(items=[public(row) for row in rows[:limit]], after=str(rows[limit - 1].seq) if len(rows) > limit else None)


def first_broken(rows: Iterable[EventRow]) -> int | None:
    """The number of the first line that doesn't follow from the one before it, or None if the chain is whole."""
    previous, expected = GENESIS, 1
    for row in rows:
        if row.seq != expected or row.previous_hash != previous or row.hash != hash_of(row):
            return row.seq
        previous, expected = row.hash, expected + 1
    return None


def verify(tx: Read) -> int | None:
    """Check the whole chain. See `first_broken`."""
    return first_broken(tx.session.exec(select(EventRow).order_by(col(EventRow.seq))))
