"""Reading the history, and checking that nobody has changed it."""

from collections.abc import AsyncIterator

from sqlalchemy import func
from sqlmodel import col, select

from api.contract.base import Page
from api.contract.resources import Event
from api.db.database import Database
from api.db.transaction import Read
from api.events import pruning
from api.events.filters import EventFilter
from api.events.lines import START, End, Line, follow
from api.events.models import EventRow

_PAGE = 1000
_VERIFY_PAGE = 5000
_LINE = [getattr(EventRow, name) for name in Line._fields]


def line_of(event: EventRow | Event) -> Line:
    """An event as a link of the chain."""
    return Line(*(getattr(event, name) for name in Line._fields))


def public(row: EventRow) -> Event:
    """A row as the API shows it."""
    return Event.model_validate(row.model_dump())


def head(tx: Read) -> int:
    """The number of the newest line, 0 if there is none."""
    return tx.session.exec(select(func.max(EventRow.seq))).one() or 0


def read(tx: Read, wanted: EventFilter, *, after: int, limit: int, upto: int | None = None) -> list[EventRow]:
    """The first lines after a number that a reader wants."""
    query = wanted.narrow(select(EventRow).where(EventRow.seq > after))
    if upto is not None:
        query = query.where(EventRow.seq <= upto)
    return tx.all(query.order_by(col(EventRow.seq)).limit(limit))


def page(tx: Read, wanted: EventFilter, *, limit: int, after: str | None) -> Page[Event]:
    """One page of the history, oldest first; the cursor is the last line's number."""
    rows = read(tx, wanted, after=int(after or 0), limit=limit + 1)
    return Page(items=[public(row) for row in rows[:limit]], after=str(rows[limit - 1].seq) if len(rows) > limit else None)


async def export(db: Database, wanted: EventFilter, *, after: int) -> AsyncIterator[bytes]:
    """The history as JSONL, a page in memory at a time, up to the line that is the newest when it begins."""
    end = await db.read(head)
    while after < end:
        text, last = await db.read(_export_page, wanted, after=after, upto=end)
        if last is None:
            return
        after = last
        yield text


def _export_page(tx: Read, wanted: EventFilter, *, after: int, upto: int) -> tuple[bytes, int | None]:
    rows = read(tx, wanted, after=after, limit=_PAGE, upto=upto)
    return b"".join(public(row).model_dump_json().encode() + b"\n" for row in rows), rows[-1].seq if rows else None


async def verify(db: Database) -> tuple[End, End, int | None]:
    """Check the whole chain, a page in memory at a time: where it begins and ends, and the first broken line, or None.

    It begins with the first line of all, or behind the newest `checkpoint` (see `pruning`).
    """
    begin = await db.read(pruning.beginning)
    if begin is None:
        return START, START, await db.read(_first)
    end, broken = begin, None
    upto = await db.read(head)
    while broken is None and end.seq < upto:
        end, broken = await db.read(_verify_page, end)
    return begin, end, broken


def _first(tx: Read) -> int | None:
    return tx.session.exec(select(func.min(EventRow.seq))).one()


def _verify_page(tx: Read, end: End) -> tuple[End, int | None]:
    query = select(*_LINE).where(EventRow.seq > end.seq).order_by(col(EventRow.seq)).limit(_VERIFY_PAGE)
    return follow(end, (Line(*row) for row in tx.session.exec(query)))
