"""What a webhook's life means: made, changed, rotated, replayed, deleted."""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import delete as sql_delete
from sqlalchemy import update as sql_update
from sqlmodel import col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from api.contract import actions
from api.contract.base import Json, Page
from api.contract.problems import ConflictError, FieldProblem, ForbiddenError, InvalidError, NameTakenError, NotFoundError
from api.contract.webhooks import Delivery, Webhook, WebhookCreate, WebhookUpdate, WebhookWithSecret
from api.db.pages import page
from api.db.transaction import Read, Write
from api.events import service as events
from api.events.filters import EventFilter, app_of, install_of
from api.events.models import EventRow
from api.installs.models import InstallRow
from api.secrets.vault import Vault
from api.webhooks.models import DeliveryRow, WebhookRow
from api.webhooks.signing import new_secret

TOPIC = "webhooks"
"""Rung when there may be something to send, or to follow."""


def find(tx: Read, webhook: str) -> WebhookRow:
    """The webhook with this id or name. Raises NotFoundError."""
    row = tx.first(_visible(tx).where((col(WebhookRow.id) == webhook) | (col(WebhookRow.name) == webhook)))
    if row is None:
        raise NotFoundError(f"there is no webhook {webhook!r}")
    return row


def _visible(tx: Read) -> SelectOfScalar[WebhookRow]:
    """The webhooks in the caller's scope. Those of an app aren't in the scope of an install: they tell of others, too."""
    app = func.coalesce(
        WebhookRow.app_id, select(InstallRow.app_id).where(InstallRow.id == WebhookRow.install_id).scalar_subquery()
    )
    return tx.scope.narrow(select(WebhookRow), app=app, install=WebhookRow.install_id)


def wanted(row: WebhookRow) -> EventFilter:
    """Which events a webhook gets."""
    return EventFilter(app_id=row.app_id, install_id=row.install_id, actions=tuple(row.events))


def public(row: WebhookRow) -> Webhook:
    """A row as the API shows it."""
    return Webhook.model_validate(row.model_dump(exclude={"sealed_secrets"}))


def _with_secret(row: WebhookRow, secret: str) -> WebhookWithSecret:
    return WebhookWithSecret(**public(row).model_dump(), secret=secret)


def _record(row: WebhookRow) -> Json:
    fields = {"name", "url", "events", "app_id", "install_id", "enabled", "description"}
    return row.model_dump(mode="json", include=fields)


def _emit(tx: Write, what: str, row: WebhookRow, *, before: Json = None, after: Json = None) -> None:
    tx.emit(f"webhook.{what}", row.id, before=before, after=after, app_id=row.app_id, install_id=row.install_id)
    tx.ring(TOPIC)


def create(tx: Write, vault: Vault, body: WebhookCreate) -> WebhookWithSecret:
    """A new webhook, which begins with the next event."""
    if tx.first(select(WebhookRow).where(WebhookRow.name == body.name)):
        message, remedy = f"there is a webhook named {body.name!r} already", "Choose another name."
        raise NameTakenError(message, remedy=remedy, errors=[FieldProblem(field="name", message=message, remedy=remedy)])
    webhook_id, secret = tx.new_id("whk"), new_secret()
    row = WebhookRow(
        **_settings(tx, body),
        id=webhook_id,
        name=body.name,
        sealed_secrets=vault.seal({"current": secret}, owner=webhook_id),
        cursor=events.head(tx),
        created_at=tx.now,
        updated_at=tx.now,
    )
    tx.session.add(row)
    tx.session.flush()
    _emit(tx, "created", row, after=_record(row))
    return _with_secret(row, secret)


def _id_in(field: str, find: Callable[[Read, str], str], tx: Read, name: str) -> str:
    try:
        return find(tx, name)
    except NotFoundError as error:
        raise InvalidError.at(field, error.detail, "Give the id or name of one that exists.") from None


def _settings(tx: Read, body: WebhookUpdate) -> dict[str, Json]:
    app_id = _id_in("app_id", app_of, tx, body.app_id) if body.app_id else None
    install_id = _id_in("install_id", install_of, tx, body.install_id) if body.install_id else None
    if not tx.scope.covers(app_id=app_id, install_id=install_id):
        raise ForbiddenError(
            "the webhook would tell of more than is in the token's scope",
            remedy="Narrow it with `app_id` or `install_id` to what the token's scope is.",
        )
    _check_events(body.events)
    return {
        "url": body.url,
        "events": list(dict.fromkeys(body.events)),
        "app_id": app_id,
        "install_id": install_id,
        "enabled": body.enabled,
        "description": body.description,
    }


def _check_events(patterns: list[str]) -> None:
    """Raises InvalidError for patterns that fit nothing that can happen: whoever made the webhook would wait for ever."""
    problems = []
    for at, pattern in enumerate(patterns):
        if not actions.known(pattern):
            near = actions.near(pattern)
            remedy = f"Did you mean {', '.join(near)}?" if near else "See docs/reference/events.md for what there is."
            problems.append(FieldProblem(field=f"events.{at}", message=f"nothing is named {pattern!r}", remedy=remedy))
    if problems:
        raise InvalidError("the webhook asks for events that there are not", errors=problems)


def update(tx: Write, webhook: str, body: WebhookUpdate) -> Webhook:
    """Change a webhook. One that is switched on again goes on with the next event: what came meanwhile can be replayed."""
    row = find(tx, webhook)
    settings = _settings(tx, body)
    if settings == {name: getattr(row, name) for name in settings}:
        return public(row)
    before = _record(row)
    if body.enabled and not row.enabled:
        row.cursor, row.failing_since, row.disabled_because = events.head(tx), None, None
    for name, value in settings.items():
        setattr(row, name, value)
    row.version += 1
    row.updated_at = tx.now
    tx.session.flush()
    _emit(tx, "updated", row, before=before, after=_record(row))
    return public(row)


def disable(tx: Write, row: WebhookRow, why: str) -> None:
    """Switch a webhook off because its receiver doesn't take anything."""
    row.enabled, row.disabled_because = False, why
    row.version += 1
    row.updated_at = tx.now
    _emit(tx, "disabled", row, after={"because": why, "failing_since": row.failing_since and row.failing_since.isoformat()})


def rotate(tx: Write, vault: Vault, webhook: str, *, overlap: timedelta) -> WebhookWithSecret:
    """A new secret; until the overlap has passed, the one before it signs as well."""
    row = find(tx, webhook)
    secret, previous = new_secret(), vault.open_sealed(row.sealed_secrets, owner=row.id)["current"]
    row.sealed_secrets = vault.seal({"current": secret, "previous": previous}, owner=row.id)
    row.previous_secret_until = tx.now + overlap
    row.version += 1
    row.updated_at = tx.now
    _emit(tx, "secret_rotated", row, after={"previous_secret_until": row.previous_secret_until.isoformat()})
    return _with_secret(row, secret)


def signing_secrets(tx: Read, vault: Vault, row: WebhookRow) -> list[str]:
    """The secrets that sign now, the newest first."""
    secrets = vault.open_sealed(row.sealed_secrets, owner=row.id)
    both = row.previous_secret_until is not None and tx.now < row.previous_secret_until and "previous" in secrets
    return [str(secrets["current"]), *([str(secrets["previous"])] if both else [])]


def delete(tx: Write, webhook: str) -> None:
    """Delete a webhook, and what was on its way to it."""
    row = find(tx, webhook)
    tx.session.exec(sql_delete(DeliveryRow).where(col(DeliveryRow.webhook_id) == row.id))
    _emit(tx, "deleted", row, before=_record(row))
    tx.session.delete(row)


def list_webhooks(tx: Read, *, limit: int, after: str | None, name: str | None) -> Page[Webhook]:
    """One page of webhooks."""
    query = _visible(tx).where(WebhookRow.name == name) if name else _visible(tx)
    return page(tx, query, col(WebhookRow.id), public, limit=limit, after=after)


def show_delivery(row: DeliveryRow) -> Delivery:
    """A row as the API shows it."""
    return Delivery.model_validate(row.model_dump(exclude={"tries", "claims"}))


def list_deliveries(
    tx: Read, webhook: str, *, limit: int, after: str | None, status: str | None, newest_first: bool
) -> Page[Delivery]:
    """One page of a webhook's deliveries."""
    query = select(DeliveryRow).where(DeliveryRow.webhook_id == find(tx, webhook).id)
    if status:
        query = query.where(DeliveryRow.status == status)
    return page(tx, query, col(DeliveryRow.id), show_delivery, limit=limit, after=after, newest_first=newest_first)


def delivery(tx: Read, webhook: str, delivery: str) -> DeliveryRow:
    """One delivery of a webhook. Raises NotFoundError."""
    hook = find(tx, webhook)
    row = tx.session.get(DeliveryRow, delivery)
    if row is None or row.webhook_id != hook.id:
        raise NotFoundError(f"webhook {hook.name!r} has no delivery {delivery!r}")
    return row


def replay_delivery(tx: Write, webhook: str, delivery_id: str) -> Delivery:
    """Send one event again, with the same `webhook-id`."""
    hook = find(tx, webhook)
    row = delivery(tx, webhook, delivery_id)
    _must_be_on(hook)
    if row.seq is not None and tx.session.get(EventRow, row.seq) is None:
        raise ConflictError(f"event {row.seq} was pruned: there is nothing left to send")
    row.status, row.due_at, row.tries, row.ended_at, row.error = "pending", tx.now, 0, None, ""
    row.claims += 1  # an attempt that is under way doesn't count for it
    tx.session.flush()
    _emit(tx, "replayed", hook, after={"delivery": row.id})
    return show_delivery(row)


def replay(tx: Write, webhook: str, *, after: int) -> Webhook:
    """Send everything after an event again, in order: the cursor goes back, and what was delivered is due anew."""
    row = find(tx, webhook)
    _must_be_on(row)
    row.cursor = min(row.cursor, after)
    there = col(DeliveryRow.seq).in_(select(EventRow.seq).where(EventRow.seq > after))  # others were pruned
    again = sql_update(DeliveryRow).where(col(DeliveryRow.webhook_id) == row.id, there)
    more = col(DeliveryRow.claims) + 1  # an attempt that is under way doesn't count for it
    tx.session.exec(again.values(status="pending", due_at=tx.now, tries=0, claims=more, ended_at=None, error=""))
    row.version += 1
    row.updated_at = tx.now
    _emit(tx, "replayed", row, after={"after": after})
    return public(row)


def _must_be_on(row: WebhookRow) -> None:
    if not row.enabled:
        raise ConflictError(f"webhook {row.name!r} is switched off", remedy="Switch it on first, then replay.")
