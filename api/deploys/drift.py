"""What a drift run finds, and where it is noted."""

from collections.abc import Iterable

from sqlmodel import col, select

from api.contract.resources import PlanSummary
from api.db.statements import Query, among
from api.db.transaction import Read, Write
from api.deploys.models import DeployRow
from api.installs.models import InstalledComponentRow

_SHOWN = 50
"""So many addresses stand in an event; the component has them all."""


_UNDER_WAY = Query(
    select(DeployRow).where(
        col(DeployRow.ended_at).is_(None), DeployRow.kind == "drift", among(DeployRow.install_id, "installs")
    )
)


def under_way(tx: Read, install_id: str) -> DeployRow | None:
    """The drift run that is under way on an install."""
    if ("drift run", install_id) not in tx.memo:
        load(tx, [install_id])
    run: DeployRow | None = tx.memo["drift run", install_id]
    return run if run and run.ended_at is None else None


def load(tx: Read, install_ids: Iterable[str]) -> None:
    """Look up at once which drift runs are under way on many installs."""
    wanted = list(install_ids)
    found = {run.install_id: run for run in tx.all(_UNDER_WAY, installs=wanted)}
    tx.memo.update({("drift run", install_id): found.get(install_id) for install_id in wanted})


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
                **({"refused": found.refused} if found.refused else {}),
                "resources": [change.address for change in found.resources[:_SHOWN]],
            },
            app_id=run.app_id,
            install_id=run.install_id,
        )
