"""Deliveries: made by following the history, claimed, and settled.

`cursor`: each webhook remembers the event up to which its deliveries were made, and moves on in the transaction that makes
them. So nothing is added to the work of those who make events, and a kill at any point loses nothing.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete as sql_delete
from sqlalchemy import func
from sqlmodel import col, select

from api.contract.webhooks import WebhookMessage
from api.db.transaction import Read, Write
from api.events import service as events
from api.events.models import EventRow
from api.secrets.vault import Vault
from api.webhooks import backoff, service
from api.webhooks.models import PENDING, DeliveryRow, WebhookRow
from api.webhooks.post import SECONDS, Answer

WINDOW = 2000
"""How many events are looked through at once, and how far a cursor may lag behind what was looked through."""
_MAKE_AT_ONCE = 200
_FORGET_AT_ONCE = 1000
_CLAIM_AT_ONCE = 5
LEASE = timedelta(seconds=SECONDS * (_CLAIM_AT_ONCE + 1))
"""How long those who claimed deliveries have for them, before others may try."""


@dataclass(frozen=True)
class Attempt:
    """One delivery that was claimed, with all that it takes to send it."""

    delivery_id: str
    claim: int
    webhook_id: str
    url: str
    body: bytes
    secrets: list[str]


def behind(tx: Read, seen: dict[str, int]) -> tuple[list[str], dict[str, int]]:
    """The webhooks that have deliveries to be made, and up to which event each one has been looked through.

    `seen` is what an earlier call gave back; it spares looking twice, and writing a cursor for events that nobody wants.
    """
    head = events.head(tx)
    found, looked = [], {}
    for row in tx.all(select(WebhookRow).where(col(WebhookRow.enabled).is_(True))):
        # A cursor that went back (a replay) counts more than what was seen before it did.
        mark = f"{row.id}:{row.version}"
        at = max(row.cursor, seen.get(mark, 0))
        upto = min(head, at + WINDOW)
        if at < head and (events.read(tx, service.wanted(row), after=at, limit=1, upto=upto) or upto - row.cursor >= WINDOW):
            found.append(row.id)
        else:
            looked[mark] = upto
    return found, looked


def make(tx: Write, webhook_id: str) -> bool:
    """Make the deliveries of the next events, and move the cursor on. Whether there may be more to make."""
    row = tx.session.get(WebhookRow, webhook_id)
    if row is None or not row.enabled:
        return False
    head = events.head(tx)
    upto = min(head, row.cursor + WINDOW)
    found = events.read(tx, service.wanted(row), after=row.cursor, limit=_MAKE_AT_ONCE, upto=upto)
    if len(found) == _MAKE_AT_ONCE:
        upto = found[-1].seq
    seqs = [event.seq for event in found]
    query = select(col(DeliveryRow.seq)).where(DeliveryRow.webhook_id == row.id, col(DeliveryRow.seq).in_(seqs))
    there = set(tx.session.exec(query)) if seqs else set()
    for event in found:
        if event.seq not in there:  # a replay finds those that were delivered before
            tx.session.add(_new(tx, row, event.action, event.seq))
    row.cursor = upto
    tx.ring(service.TOPIC)
    return upto < head


def _new(tx: Write, row: WebhookRow, action: str, seq: int | None) -> DeliveryRow:
    return DeliveryRow(
        id=tx.new_id("msg"), webhook_id=row.id, seq=seq, action=action, status="pending", due_at=tx.now, created_at=tx.now
    )


def claim_test(tx: Write, vault: Vault, webhook: str) -> Attempt:
    """A message that tells of nothing, to be sent at once. A webhook that is switched off can be tried, too."""
    row = service.find(tx, webhook)
    delivery = _new(tx, row, "webhook.test", None)
    tx.session.add(delivery)
    tx.session.flush()
    return _claim(tx, vault, row, delivery)


def due(tx: Read) -> tuple[list[str], float | None]:
    """The webhooks that have something to send now, those that wait longest first; and in how many seconds another one has."""
    first = select(func.min(DeliveryRow.due_at)).where(DeliveryRow.webhook_id == WebhookRow.id, PENDING).scalar_subquery()
    query = select(WebhookRow.id, first).where(col(WebhookRow.enabled).is_(True))
    found = sorted((at, webhook_id) for webhook_id, at in tx.session.exec(query) if at is not None)
    later = [(at - tx.now).total_seconds() for at, _ in found if at > tx.now]
    return [webhook_id for at, webhook_id in found if at <= tx.now], min(later, default=None)


def claim(tx: Write, vault: Vault, webhook_id: str) -> list[Attempt]:
    """`lease`: take what a webhook has to send next, oldest event first, so that nobody else sends it at the same time."""
    row = tx.session.get(WebhookRow, webhook_id)
    if row is None or not row.enabled:
        return []
    query = select(DeliveryRow).where(DeliveryRow.webhook_id == webhook_id, PENDING, col(DeliveryRow.due_at) <= tx.now)
    found = tx.all(query.order_by(col(DeliveryRow.due_at), col(DeliveryRow.seq)).limit(_CLAIM_AT_ONCE))
    return [_claim(tx, vault, row, delivery) for delivery in found if not _pruned(tx, delivery)]


def _pruned(tx: Write, delivery: DeliveryRow) -> bool:
    """Whether its event was pruned while the webhook was switched off: there is nothing left to send, and so it has failed."""
    if delivery.seq is None or tx.session.get(EventRow, delivery.seq) is not None:
        return False
    delivery.error = f"event {delivery.seq} was pruned"
    _end(tx, delivery, "failed")
    return True


def _claim(tx: Write, vault: Vault, row: WebhookRow, delivery: DeliveryRow) -> Attempt:
    delivery.due_at = tx.now + LEASE
    delivery.claims += 1
    event = tx.session.get(EventRow, delivery.seq) if delivery.seq is not None else None
    message = WebhookMessage(
        type=delivery.action,
        timestamp=event.at if event else delivery.created_at,
        data=events.public(event).model_dump(mode="json") if event else {"webhook": row.name},
    )
    secrets = service.signing_secrets(tx, vault, row)
    return Attempt(delivery.id, delivery.claims, row.id, row.url, message.model_dump_json().encode(), secrets)


def settle(tx: Write, attempt: Attempt, answer: Answer, *, random: float) -> DeliveryRow | None:
    """Note what came of an attempt: done, tried again later, or given up. None if another one has taken it up meanwhile."""
    delivery = tx.session.get(DeliveryRow, attempt.delivery_id)
    row = tx.session.get(WebhookRow, attempt.webhook_id)
    if delivery is None or row is None or delivery.claims != attempt.claim or delivery.status != "pending":
        return None
    delivery.attempts += 1
    delivery.tries += 1
    delivery.response_status, delivery.response_start, delivery.error = answer.status, answer.start, answer.error
    is_test = delivery.seq is None
    if not answer.error:
        _end(tx, delivery, "succeeded")
        row.failing_since = None
        return delivery
    wait = None if is_test else backoff.delay(delivery.tries, random=random, retry_after=answer.retry_after)
    if wait is None:
        _end(tx, delivery, "failed")
    else:
        delivery.due_at = tx.now + wait
    if is_test:
        return delivery
    row.failing_since = row.failing_since or tx.now
    if row.enabled and answer.status == 410:
        service.disable(tx, row, "the receiver answered 410: it is gone")
    elif row.enabled and tx.now - row.failing_since >= backoff.GIVE_UP:
        service.disable(tx, row, f"nothing was delivered for {backoff.GIVE_UP.days} days: {answer.error}")
    return delivery


def _end(tx: Write, delivery: DeliveryRow, status: str) -> None:
    delivery.status = status  # type: ignore[assignment]
    delivery.due_at = None
    delivery.ended_at = tx.now


def give_back(tx: Write, attempts: list[Attempt]) -> None:
    """Those who claimed are asked to stop: what they haven't sent is due at once."""
    for attempt in attempts:
        delivery = tx.session.get(DeliveryRow, attempt.delivery_id)
        if delivery and delivery.claims == attempt.claim and delivery.status == "pending":
            delivery.due_at = tx.now


def forget(tx: Write, days: float) -> bool:
    """Forget some of the deliveries that ended so many days ago. Whether there may be more."""
    ids = tx.all(select(DeliveryRow.id).where(col(DeliveryRow.ended_at) < tx.now - timedelta(days=days)).limit(_FORGET_AT_ONCE))
    if ids:
        tx.session.exec(sql_delete(DeliveryRow).where(col(DeliveryRow.id).in_(ids)))
    return bool(ids)
