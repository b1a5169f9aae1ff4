"""What a drift run finds, and where it is noted."""

from collections.abc import Iterable, Sequence

from sqlmodel import col, select

from api.contract.resources import PlanSummary
from api.db.statements import Query, among
from api.db.transaction import Read, Write
from api.deploys.models import DeployRow
from api.installs.models import InstalledComponentRow

_SHOWN = 50
"""So many addresses stand in an event; the component has them all."""


UNDER_WAY = Query(
    select(DeployRow).where(
        col(DeployRow.ended_at).is_(None), DeployRow.kind == "drift", among(DeployRow.install_id, "installs")
    )
)


def under_way(tx: Read, install_id: str) -> DeployRow | None:
    """The drift run that is under way on an install."""
    if ("drift run", install_id) not in tx.memo:
        keep(tx, [install_id], tx.all(UNDER_WAY, installs=[install_id]))
    run: DeployRow | None = tx.memo["drift run", install_id]
    return run if run and run.ended_at is None else None


def keep(tx: Read, install_ids: Iterable[str], runs: Sequence[DeployRow]) -> None:
    """Remember which drift runs `UNDER_WAY` has found on many installs."""
    found = {run.install_id: run for run in runs}
    tx.memo.update({("drift run", install_id): found.get(install_id) for install_id in install_ids})


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
