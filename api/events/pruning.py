"""Taking old lines off the beginning of the history, so that the rest can still be proved.

`checkpoint`: each pruning is a line of the history itself, `events.pruned`, which says the number and the hash of the last line
that it took. The first line that is left must follow from that one; and as the line is part of the chain, nobody can make up
another beginning without breaking the chain behind it.

Before lines are deleted they are written to a file, which `exclave events verify FILE` checks: file by file, and with the
export of the rest, the whole chain can still be followed.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete
from sqlmodel import col, func, select

from api.contract.resources import Event
from api.db.database import Database
from api.db.transaction import Read, Write
from api.events.lines import START, End
from api.events.models import EventRow
from api.registry import durable
from api.webhooks.models import DeliveryRow, WebhookRow

ACTION = "events.pruned"
FOLDER = "pruned-events"
_AT_ONCE = 1000
_SLACK = timedelta(days=1)
"""Lines are pruned a day's worth together: each pruning is a line of its own."""


def beginning(tx: Read) -> End | None:
    """What the first line must follow from: the newest checkpoint; None if lines are missing that no checkpoint tells of."""
    first = tx.session.exec(select(func.min(EventRow.seq))).one()
    if first is None or first == 1:
        return START
    checkpoint = tx.first(select(EventRow).where(EventRow.action == ACTION).order_by(col(EventRow.seq).desc()).limit(1))
    if checkpoint is None or checkpoint.after["last"] != first - 1:
        return None
    return End(first - 1, checkpoint.after["last_hash"])


async def prune(db: Database, days: float, folder: Path | None, *, batches: int) -> int:
    """Take away lines that are older than so many days, in small writes. How many were taken.

    Each batch is first written to a file in `folder`, if one is given. The newest line always stays, and so does what a webhook
    hasn't been sent yet.
    """
    taken = 0
    if not await db.read(_due, days):
        return 0
    for _ in range(batches):
        events = await db.read(_old, days)
        if not events:
            break
        kept = await asyncio.to_thread(_write, folder, events) if folder else None
        taken += await db.write("system", _take, events, days, kept)
    return taken


def _due(tx: Read, days: float) -> bool:
    oldest = tx.first(select(EventRow).order_by(col(EventRow.seq)).limit(1))
    return oldest is not None and oldest.at < tx.now - timedelta(days=days) - _SLACK


def _old(tx: Read, days: float) -> list[Event]:
    """The first lines, up to one that must stay."""
    before, upto = tx.now - timedelta(days=days), _may_go(tx)
    rows = tx.all(select(EventRow).where(EventRow.seq <= upto).order_by(col(EventRow.seq)).limit(_AT_ONCE))
    keep = next((at for at, row in enumerate(rows) if row.at >= before), len(rows))
    return [Event.model_validate(row.model_dump()) for row in rows[:keep]]


def _may_go(tx: Read) -> int:
    """The number of the last line that nobody needs any more: not the newest, nor what is still to be sent.

    A webhook that is switched off may stay so for ever, and needs nothing.
    """
    newest = tx.session.exec(select(func.max(EventRow.seq))).one() or 0
    hooks = select(func.min(WebhookRow.cursor)).where(col(WebhookRow.enabled))
    looked_at = tx.session.exec(hooks).one()
    due = select(func.min(DeliveryRow.seq)).join(WebhookRow, col(WebhookRow.id) == col(DeliveryRow.webhook_id))
    sending = tx.session.exec(due.where(col(DeliveryRow.ended_at).is_(None), col(WebhookRow.enabled))).one()
    limits = [newest - 1, newest if looked_at is None else looked_at, newest if sending is None else sending - 1]
    return min(limits)


def _write(folder: Path, events: Sequence[Event]) -> dict[str, str]:
    """Put lines into a file of their own, durably. Its name and its hash."""
    durable.make_folder(folder)
    text = b"".join(event.model_dump_json().encode() + b"\n" for event in events)
    file = folder / f"events-{events[0].seq:012}-{events[-1].seq:012}.jsonl"
    durable.write_file(file, text)
    return {"file": file.name, "sha256": hashlib.sha256(text).hexdigest()}


def _take(tx: Write, events: list[Event], days: float, kept: dict[str, str] | None) -> int:
    first, last = events[0], events[-1]
    if tx.session.exec(select(func.min(EventRow.seq))).one() != first.seq:
        return 0  # another replica was faster
    tx.session.exec(delete(EventRow).where(col(EventRow.seq) <= last.seq))
    after = {"first": first.seq, "last": last.seq, "last_hash": last.hash, "count": len(events), "days": days, **(kept or {})}
    tx.emit(ACTION, "events", after=after)
    return len(events)
