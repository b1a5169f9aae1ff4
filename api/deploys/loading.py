"""Looks up at once what the steps of many deploys are about to ask for (see `jobs.hot`)."""

from collections.abc import Sequence

from sqlmodel import col, select

from api.db.transaction import Read
from api.deploys.models import DeployRow, StepRow
from api.installs.models import InstalledComponentRow


def load(tx: Read, deploy_ids: Sequence[str]) -> None:
    """Look up at once what `advance` is going to ask for, of many deploys."""
    if not deploy_ids:
        return
    rows = tx.all(select(DeployRow).where(col(DeployRow.id).in_(deploy_ids)))
    tx.keep(DeployRow, rows, lambda row: row.id)
    steps: dict[str, list[StepRow]] = {deploy_id: [] for deploy_id in deploy_ids}
    for step in tx.all(select(StepRow).where(col(StepRow.deploy_id).in_(deploy_ids)).order_by(col(StepRow.position))):
        steps[step.deploy_id].append(step)
        tx.keep(StepRow, [step], lambda row: row.id)
    tx.memo.update({("steps", deploy_id): found for deploy_id, found in steps.items()})
    installed = tx.all(
        select(InstalledComponentRow).where(col(InstalledComponentRow.install_id).in_({row.install_id for row in rows}))
    )
    wanted = {(row.install_id, step.component) for row in rows for step in steps[row.id]}
    tx.keep(InstalledComponentRow, installed, lambda row: (row.install_id, row.name), wanted)
