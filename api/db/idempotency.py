"""Idempotency-Key: the same create sent twice makes one object."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from sqlmodel import Field, select

from api.contract.base import Model
from api.contract.problems import ConflictError
from api.db.columns import UtcDateTime
from api.db.row import Row
from api.db.scope import EVERYTHING
from api.db.transaction import Read, Write

M = TypeVar("M", bound=Model)

KEPT_DAYS = 7
_BATCH = 1000


class IdempotencyRow(Row, table=True):
    """What a create with this key was asked, and what it answered."""

    __tablename__ = "idempotency"

    actor: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request_hash: str
    answer: str
    created_at: datetime = Field(sa_type=UtcDateTime)


def once(tx: Write, key: str | None, request: Model, answer_type: type[M], make: Callable[[], M], *, within: str = "") -> M:
    """What `make()` returns, or what it returned when this actor sent the same key before.

    `within` is the id of the object in whose collection it is made, if there is one. Raises ConflictError if the key came with
    another request, or from a login with another scope. Only for answers without secrets: they are stored.
    """
    if not key:
        return make()
    asked = f"{type(request).__name__}\n{within}\n{request.model_dump_json()}"
    if tx.scope != EVERYTHING:
        asked = f"{tx.scope}\n{asked}"
    digest = hashlib.sha256(asked.encode()).hexdigest()
    row = tx.session.get(IdempotencyRow, (tx.actor, key))
    if row is None:
        answer = make()
        row = IdempotencyRow(actor=tx.actor, key=key, request_hash=digest, answer=answer.model_dump_json(), created_at=tx.now)
        tx.session.add(row)
        return answer
    if row.request_hash != digest:
        raise ConflictError("this Idempotency-Key was used for another request", remedy="Send a fresh key.")
    return answer_type.model_validate_json(row.answer)


def old(tx: Read) -> list[IdempotencyRow]:
    """Some of the answers that are kept no longer: who sends a create again does so within days."""
    return tx.all(select(IdempotencyRow).where(IdempotencyRow.created_at < tx.now - timedelta(days=KEPT_DAYS)).limit(_BATCH))


def forget(tx: Write) -> None:
    """Remove some of them."""
    for row in old(tx):
        tx.session.delete(row)
