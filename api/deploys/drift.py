"""What a drift run finds, and where it is noted."""

from sqlmodel import col, select

from api.contract.resources import PlanSummary
from api.db.transaction import Read, Write
from api.deploys.models import DeployRow
from api.installs.models import InstalledComponentRow

_SHOWN = 50
"""So many addresses stand in an event; the component has them all."""


def under_way(tx: Read, install_id: str) -> DeployRow | None:
    """The drift run that is under way on an install."""
    runs = select(DeployRow).where(DeployRow.install_id == install_id, DeployRow.kind == "drift")
    return tx.first(runs.where(col(DeployRow.ended_at).is_(None)))


def note(tx: Write, run: DeployRow, component: str, found: PlanSummary) -> None:
    """Keep what was found of one component. One that a deploy has changed since the run began is left as it is."""
    installed = tx.session.get(InstalledComponentRow, (run.install_id, component))
    if installed is None or installed.fingerprint is None or installed.updated_at > run.created_at:
        return
    installed.drift_checked_at, installed.drift = tx.now, found
    if not found.empty:
        tx.emit(
            "drift.found",
            run.install_id,
            after={
                "deploy": run.id,
                "component": component,
                "add": found.add,
                "change": found.change,
                "destroy": found.destroy,
                "resources": [change.address for change in found.resources[:_SHOWN]],
            },
            app_id=run.app_id,
            install_id=run.install_id,
        )
