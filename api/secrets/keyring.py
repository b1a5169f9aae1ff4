"""The data keys in the database: made at the first start, unwrapped once, wrapped anew under another key."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime

from sqlmodel import col, select

from api.db.driver import Driver
from api.db.ids import IdMaker
from api.db.session import Session
from api.db.transaction import Write
from api.installs.models import InstallRow
from api.secrets.keys import KEY_BYTES, FileKey, KeyProvider
from api.secrets.models import DataKeyKind, DataKeyRow
from api.secrets.vault import Keys, Vault
from api.settings import UnusableDataError


def open_vault(driver: Driver, provider: KeyProvider, clock: Callable[[], datetime]) -> Vault:
    """The vault of a migrated database. Its keys are made if there are none. Raises UnusableDataError.

    Keys are read anew on a connection that only reads: a write transaction may be open meanwhile, and what it hasn't committed
    must not be used.
    """
    with driver.writer.connect() as connection, connection.begin():
        link = driver.link(connection)
        driver.take_turn(link)  # of two replicas that start together, one makes the keys
        session = Session(link)
        if session.exec(select(DataKeyRow).limit(1)).first() is None:
            _make_first(session, provider, clock())
        keys = load(session, provider)
        link.commit()

    def again() -> Keys:
        driver.reader.dispose()  # seldom enough for a new connection, which can't be one that was lost meanwhile
        with driver.reader.connect() as connection, connection.begin():
            return load(Session(driver.link(connection)), provider)

    return Vault(keys, again)


def _make_first(session: Session, provider: KeyProvider, now: datetime) -> None:
    """An IMS that sealed with its key file directly keeps that key for what is there, and its fingerprints."""
    ids = IdMaker()

    def add(kind: DataKeyKind, key: bytes) -> None:
        session.add(_row(kind, key, provider, ids.new("dek", now), now, finished=True))

    old = provider.old_key if isinstance(provider, FileKey) else None
    if session.exec(select(InstallRow.id).limit(1)).first() is None:
        add("mac", secrets.token_bytes(KEY_BYTES))
    elif old is None:
        raise UnusableDataError(
            "this database was sealed with the file secrets.key; start once with that file, then move to "
            "another key: `exclave secrets rotate --to KEY --data FOLDER`"
        )
    else:
        add("old", old)
        add("mac", hashlib.sha256(b"exclave fingerprint\n" + old).digest())
    add("data", secrets.token_bytes(KEY_BYTES))
    session.flush()


def fresh_key(provider: KeyProvider, now: datetime) -> DataKeyRow:
    """A new data key that seals nothing yet (see `rotation.begin`). May call a KMS: not for a database's thread."""
    return _row("data", secrets.token_bytes(KEY_BYTES), provider, IdMaker().new("dek", now), now, finished=False)


def _row(kind: DataKeyKind, key: bytes, provider: KeyProvider, key_id: str, now: datetime, *, finished: bool) -> DataKeyRow:
    return DataKeyRow(
        id=key_id,
        kind=kind,
        wrapped_by=provider.id,
        wrapped=provider.wrap(key, key_id),
        created_at=now,
        finished_at=now if finished else None,
    )


def load(session: Session, provider: KeyProvider) -> Keys:
    """Unwrap every key. Raises UnusableDataError if the provider isn't the one that wrapped them."""
    rows = list(session.exec(select(DataKeyRow).order_by(col(DataKeyRow.id))))
    foreign = next((row for row in rows if row.wrapped_by != provider.id), None)
    if foreign:
        raise UnusableDataError(
            f"the data keys are wrapped with {foreign.wrapped_by}, but the secrets key given is {provider.id}; "
            "start with the key that they were last wrapped with (--secrets-key), or restore it from a backup: without it, "
            "the sensitive values in the database can't be read"
        )
    opened = {row.id: provider.unwrap(row.wrapped, row.id) for row in rows}
    of_kind = {row.kind: opened[row.id] for row in rows}
    current = next((row.id for row in rows if row.kind == "data" and row.retired_at is None), None)
    if current is None or "mac" not in of_kind:
        raise UnusableDataError("the table data_key isn't whole; restore the database from a backup")
    data = {row.id: opened[row.id] for row in rows if row.kind == "data"}
    return Keys(current=current, data=data, mac=of_kind["mac"], old=of_kind.get("old"))


def rewrap(tx: Write, old: KeyProvider, new: KeyProvider) -> int:
    """Wrap every key under another provider, all or none; gives their number. What they seal stays as it is."""
    rows = list(tx.session.exec(select(DataKeyRow)))
    for row in rows:
        row.wrapped = new.wrap(old.unwrap(row.wrapped, row.id), row.id)
        row.wrapped_by = new.id
    tx.emit("secrets.rewrapped", "keyring", before={"wrapped_by": old.id}, after={"wrapped_by": new.id, "keys": len(rows)})
    return len(rows)
