"""Deleting by force: what is still used is forgotten here, and stays as it is where it runs."""

from sqlmodel import col, select

from api.apps import service as apps
from api.components import service as components
from api.db.transaction import Write
from api.deploys import service
from api.deploys.models import DeployRow
from api.installs import service as installs
from api.installs.models import InstallRow
from api.jobs import queue
from api.jobs.models import JobRow


def forget_install(tx: Write, install: str) -> None:
    """Delete an install although components of it are deployed: they stay in the customer's account, unmanaged.

    What is under way ends here at once, and its agent's access ends; an engine that runs there comes to its end by itself.
    """
    row = installs.find(tx, install)
    for deploy in tx.all(select(DeployRow).where(DeployRow.install_id == row.id, col(DeployRow.ended_at).is_(None))):
        _break_off(tx, deploy)
    left = installs.components_of(tx, row.id)
    names = [component.name for component in left]
    for component in left:
        tx.session.delete(component)
    tx.session.flush()
    installs.delete(tx, row.id, left_behind=names)


def _break_off(tx: Write, deploy: DeployRow) -> None:
    for step in service.steps_of(tx, deploy.id):
        job = tx.session.get(JobRow, step.job_id) if step.job_id else None
        if job and job.state in queue.OPEN:
            queue.close(tx, job, "cancelled", None)
        if step.phase in ("waiting", "active"):
            step.phase, step.ended_at, step.due_at = "cancelled", tx.now, None
    deploy.status, deploy.ended_at = "cancelled", tx.now
    tx.emit(
        "deploy.cancelled",
        deploy.id,
        after={"failure": None, "reason": "its install was deleted by force"},
        app_id=deploy.app_id,
        install_id=deploy.install_id,
    )
    service.moved(tx, deploy)


def forget_app(tx: Write, app: str) -> None:
    """Delete an app with its components, and forget its installs."""
    row = apps.find(tx, app)
    for install in tx.all(select(InstallRow).where(InstallRow.app_id == row.id, col(InstallRow.deleted_at).is_(None))):
        forget_install(tx, install.id)
    for name in components.of_app(tx, row.id):
        components.delete(tx, row, name)
    tx.session.flush()
    apps.delete(tx, row.id, force=True)
