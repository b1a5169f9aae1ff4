"""Rotation: a new data key, and every sealed value sealed anew with it, in batches.

A rotation is a row, not a process: whoever asks for the next batch goes on where the last one ended, so it survives a kill of
the IMS and of the command that drives it. A retired data key stays, wrapped: another replica may seal with it for a while,
and a value that can't be opened is worse than a key too many.
"""

from typing import Any

from sqlmodel import SQLModel, col, func, select

from api.contract.secrets import Rotation
from api.db.transaction import Read, Write
from api.deploys.models import DeployRow
from api.installs.models import InstallRow
from api.secrets.models import DataKeyRow, SecretRow
from api.secrets.vault import Vault
from api.webhooks.models import WebhookRow

BATCH = 200

# Every column that holds sealed values. Their owner is the row's id.
_SEALED: dict[str, tuple[type[SQLModel], str]] = {
    "deploy": (DeployRow, "sealed_inputs"),
    "install": (InstallRow, "sealed_inputs"),
    "secret": (SecretRow, "sealed"),
    "webhook": (WebhookRow, "sealed_secrets"),
}


def begin(tx: Write, fresh: DataKeyRow) -> Rotation:
    """Make the `fresh` data key current, unless a rotation is under way: then that one goes on.

    No vault seals with it before the next `step`: only a key that is committed may seal anything.
    """
    current = _current(tx)
    if current.finished_at is not None:
        current.retired_at = tx.now
        tx.session.flush()
        tx.session.add(fresh)
        tx.session.flush()
        tx.emit("secrets.rotation_begun", fresh.id, before={"data_key": current.id}, after={"data_key": fresh.id})
        current = fresh
    return _public(tx, current)


def step(tx: Write, vault: Vault, *, batch: int = BATCH) -> Rotation:
    """Seal the next values anew. Harmless when no rotation is under way."""
    current = _current(tx)
    if current.finished_at is None and vault.current != current.id:
        vault.refresh()
    if current.finished_at is not None or vault.current != current.id:  # the key isn't committed yet: ask again
        return _public(tx, current)
    left = batch
    table, _, last = current.position.partition("/")
    for name, (model, column) in _SEALED.items():
        if name < table:
            continue
        for row in _rows_after(tx, model, last if name == table else "", left):
            sealed = vault.reseal(getattr(row, column), owner=row.id)
            if sealed is not None:
                setattr(row, column, sealed)
            current.position = f"{name}/{row.id}"
            current.moved += 1
            left -= 1
        if left == 0:
            break
    else:
        _finish(tx, current)
    tx.session.flush()
    return _public(tx, current)


def state(tx: Read) -> Rotation:
    """How far the last rotation is."""
    return _public(tx, _current(tx))


def _finish(tx: Write, current: DataKeyRow) -> None:
    """The key from before there were data keys seals nothing any more, and goes."""
    current.finished_at = tx.now
    for row in tx.all(select(DataKeyRow).where(DataKeyRow.kind == "old")):
        tx.session.delete(row)
    tx.emit("secrets.rotated", current.id, after={"values": current.moved})


def _current(tx: Read) -> DataKeyRow:
    row = tx.first(select(DataKeyRow).where(DataKeyRow.kind == "data", col(DataKeyRow.retired_at).is_(None)))
    if row is None:
        raise LookupError("there is no current data key")
    return row


def _rows_after(tx: Read, model: Any, last: str, limit: int) -> list[Any]:
    return tx.all(select(model).where(model.id > last).order_by(model.id).limit(limit))


def _public(tx: Read, row: DataKeyRow) -> Rotation:
    total = sum(tx.session.exec(select(func.count()).select_from(model)).one() for model, _ in _SEALED.values())
    return Rotation(
        data_key=row.id,
        done=row.finished_at is not None,
        values_done=row.moved if row.finished_at is None else total,
        values=total,
        begun_at=row.created_at,
        finished_at=row.finished_at,
    )
