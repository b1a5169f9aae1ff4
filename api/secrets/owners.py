"""What becomes of the named secrets of an app or an install that is deleted: they go with it, and their values at once."""

from typing import Literal

from sqlmodel import col, select

from api.db.transaction import Write
from api.secrets.models import SecretRow


def wipe(tx: Write, owner: Literal["app", "install"], owner_id: str) -> None:
    """Delete the secrets that only this app, or this install, could use."""
    of_owner = select(SecretRow).where(SecretRow.scope == owner_id, col(SecretRow.deleted_at).is_(None))
    for row in tx.all(of_owner.order_by(col(SecretRow.id))):
        row.deleted_at = tx.now
        row.sealed = b""
        tx.emit(
            "secret.deleted",
            row.id,
            before={"name": row.name, "scope": row.scope, "version": row.version},
            after={"reason": f"its {owner} was deleted"},
            app_id=owner_id if owner == "app" else None,
            install_id=owner_id if owner == "install" else None,
        )
