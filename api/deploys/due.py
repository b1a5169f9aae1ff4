"""What is due on deploys, by the rows: approvals that expire, drift runs that begin. See `app._sweep`."""

from api.db.transaction import Read, Write
from api.deploys import approvals, drift_runs
from api.secrets.vault import Vault


def overdue(tx: Read) -> bool:
    """Whether `sweep` has anything to do."""
    return bool(approvals.expired(tx) or drift_runs.due(tx))


def sweep(tx: Write, vault: Vault) -> None:
    """Do what is due. Times rest in the database, so a server that was down does it late, not never."""
    approvals.expire(tx)
    drift_runs.start_due(tx, vault)
