"""Drift runs: on a schedule, or asked for. Each is a deploy that only plans, over what is cleanly deployed.

A deploy goes first: it cancels a drift run, and a run that is due waits in its row until the deploy has ended.
"""

from datetime import timedelta

from sqlmodel import col, select

from api.contract.problems import ConflictError
from api.db.transaction import Read, Write
from api.deploys import decide as engine
from api.deploys import drift, making, service
from api.deploys.models import DeployRow
from api.deploys.planning import plan_drift
from api.deploys.targets import there
from api.installs import service as installs
from api.installs.models import InstallRow
from api.secrets.vault import Vault

_AT_ONCE = 20
"""So many runs begin in one sweep: a fleet that is due all at once doesn't hold up the rest."""


def start_now(tx: Write, vault: Vault, install: str) -> DeployRow:
    """Look for drift now. One that is under way already is the answer. Raises ConflictError."""
    row = installs.find(tx, install)
    if deploy := service.under_way(tx, row.id):
        raise ConflictError(
            f"{deploy.kind} {deploy.id} is under way on install {row.name!r}",
            remedy=f"Wait until it has ended: `exclave deploys show {deploy.id} --follow`.",
        )
    return drift.under_way(tx, row.id) or _start(tx, vault, row)


def _start(tx: Write, vault: Vault, install: InstallRow) -> DeployRow:
    """Plan each component with the inputs that it was deployed with: a new input is a change to deploy, not a drift."""
    clean = [row for row in installs.components_of(tx, install.id) if row.fingerprint is not None]
    planned = plan_drift([there(row) for row in clean])
    last = tx.first(
        select(DeployRow)
        .where(DeployRow.install_id == install.id, DeployRow.kind == "deploy", DeployRow.sealed_inputs != b"")
        .order_by(col(DeployRow.id).desc())
        .limit(1)
    )
    if last is None or not planned:
        raise ConflictError(
            f"nothing is cleanly deployed on install {install.name!r}", remedy="Deploy a release, then look for drift."
        )
    run_id = tx.new_id("dep")
    inputs = vault.open_sealed(last.sealed_inputs, owner=last.id)
    run = DeployRow(
        id=run_id,
        app_id=install.app_id,
        install_id=install.id,
        kind="drift",
        status="running",
        inputs_version=last.inputs_version,
        sealed_inputs=vault.seal(inputs, owner=run_id),
        created_by=tx.actor,
        created_at=tx.now,
    )
    making.begin_drift_run(tx, run, planned)
    tx.emit(
        "deploy.created",
        run.id,
        after={"install": install.name, "kind": "drift", "components": [row.name for row in clean]},
        app_id=run.app_id,
        install_id=run.install_id,
    )
    service.advance(tx, run, engine.Started())
    return run


def due(tx: Read) -> list[InstallRow]:
    """Installs at which drift shall be looked for now, and nothing is under way."""
    busy = select(DeployRow.install_id).where(col(DeployRow.ended_at).is_(None))
    return tx.all(
        select(InstallRow)
        .where(
            col(InstallRow.drift_due_at).is_not(None),
            col(InstallRow.drift_due_at) <= tx.now,
            col(InstallRow.deleted_at).is_(None),
            col(InstallRow.id).not_in(busy),
        )
        .order_by(col(InstallRow.drift_due_at))
        .limit(_AT_ONCE)
    )


def start_due(tx: Write, vault: Vault) -> None:
    """Start what is due, and say when it is due next."""
    for install in due(tx):
        install.drift_due_at = tx.now + timedelta(hours=install.drift_check_hours) if install.drift_check_hours else None
        if any(row.fingerprint is not None for row in installs.components_of(tx, install.id)):
            _start(tx, vault, install)
