"""What follows a drift run on an install that wants its drift mended (`heal_drift`): one more deploy of what is there."""

from sqlmodel import col, select

from api.db.transaction import Write
from api.deploys.models import PENDING, DeployRow, StepRow
from api.installs.models import InstalledComponentRow, InstallRow


def after(tx: Write, run: DeployRow) -> None:
    """Deploy the release again that the install was last brought to, if something of it has drifted.

    Left alone is an install whose last deploy did not end well, or left something out, or whose inputs have changed since: a
    person decides about these. The deploy is planned as any other, so `approval` holds for it; each run begins one at most.
    """
    install = tx.get(InstallRow, run.install_id)
    if install is None or not install.heal_drift or run.status == "cancelled":
        return
    components = tx.all(select(InstalledComponentRow).where(InstalledComponentRow.install_id == install.id))
    deploys = select(DeployRow).where(DeployRow.install_id == install.id, DeployRow.kind != "drift")
    last = tx.first(deploys.order_by(col(DeployRow.id).desc()).limit(1))
    if last is None or not any(row.drift and not row.drift.empty for row in components):
        return
    if (last.kind, last.status, last.inputs_version) != ("deploy", "succeeded", install.inputs_version):
        return
    skipped = select(StepRow.id).where(StepRow.deploy_id == last.id, col(StepRow.left_out).is_(True))
    if not all(row.fingerprint for row in components) or tx.first(skipped.limit(1)) is not None:
        return
    row = DeployRow(
        id=tx.new_id("dep"),
        app_id=install.app_id,
        install_id=install.id,
        release_id=last.release_id,
        kind="deploy",
        status="pending",
        approval=install.approval,
        inputs_version=install.inputs_version,
        sealed_inputs=b"",
        created_by="system",
        created_at=tx.now,
    )
    tx.session.add(row)
    tx.ring(PENDING)
