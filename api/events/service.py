"""Adding to the history, reading it, and checking that nobody has changed it."""

import hashlib
import json
from collections.abc import Iterable

from sqlmodel import col, select

from api.contract.base import Json, Page
from api.contract.resources import Event
from api.db.transaction import Read, Write
from api.events.models import EventRow

GENESIS = "0" * 64


def _hash(row: EventRow) -> str:
    body = [row.seq, row.at.isoformat(), row.actor, row.action, row.object_id, row.before, row.after]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{row.previous_hash}\n{text}".encode()).hexdigest()


def record(tx: Write, action: str, object_id: str, before: Json, after: Json) -> None:
    """Add one line, chained to the last one, in the transaction of the change that it tells of."""
    last = tx.first(select(EventRow).order_by(col(EventRow.seq).desc()).limit(1))
    row = EventRow(
        seq=last.seq + 1 if last else 1,
        at=tx.now,
        actor=tx.actor,
        action=action,
        object_id=object_id,
        before=before,
        after=after,
        previous_hash=last.hash if last else GENESIS,
        hash="",
    )
    row.hash = _hash(row)
    tx.session.add(row)
    tx.session.flush()
    tx.ring("events")


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
        if row.seq != expected or row.previous_hash != previous or row.hash != _hash(row):
            return row.seq
        previous, expected = row.hash, expected + 1
    return None


def verify(tx: Read) -> int | None:
    """Check the whole chain. See `first_broken`."""
    return first_broken(tx.session.exec(select(EventRow).order_by(col(EventRow.seq))))
