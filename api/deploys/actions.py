"""What people do to deploys besides making and cancelling them: retry, skip, roll back."""

from sqlmodel import col, select

from api.contract.problems import ConflictError
from api.contract.resources import DeployCreate
from api.db.transaction import Read, Write
from api.deploys import decide as engine
from api.deploys import making, service
from api.deploys.approvals import step_of
from api.deploys.models import DeployRow, StepRow
from api.installs import service as installs
from api.jobs.models import JobRow
from api.releases.models import ReleaseRow
from api.secrets.vault import Vault


def retry(tx: Write, vault: Vault, deploy: str) -> DeployRow:
    """The same release again, or the same teardown, as a new deploy: it plans only what isn't cleanly there.

    Raises ConflictError while the deploy is under way.
    """
    row = service.find(tx, deploy)
    if row.ended_at is None:
        raise ConflictError(
            f"deploy {row.id} is still {row.status}",
            remedy=f"Retry one of its steps: `exclave deploys retry {row.id} --step COMPONENT`.",
        )
    if row.kind == "drift":
        raise ConflictError(f"{row.id} is a drift run", remedy="Start another: `exclave installs drift INSTALL`.")
    body = DeployCreate(install_id=row.install_id, release_id=row.release_id, kind=row.kind, replan=row.replan or [])
    return making.create(tx, vault, body, retry_of=row.id)


def retry_step(tx: Write, deploy: str, step: str) -> DeployRow:
    """Try a failed step again while the deploy still runs. Raises ConflictError."""
    row, found, state = _load(tx, deploy, step)
    why_not = engine.why_no_retry(state, found.id)
    if row.ended_at is not None:
        why_not = f"the deploy has ended: it is {row.status}"
    if why_not:
        raise ConflictError(
            f"the {found.kind} of {found.component} can't be retried: {why_not}",
            remedy=f"Retry the whole deploy: `exclave deploys retry {row.id}`." if row.ended_at else "",
        )
    tx.emit(
        "step.retry_requested",
        found.id,
        after={"deploy": row.id, "component": found.component, "kind": found.kind},
        app_id=row.app_id,
        install_id=row.install_id,
    )
    service.advance(tx, row, engine.RetryRequested(found.id))
    return row


def skip_step(tx: Write, deploy: str, step: str, note: str) -> DeployRow:
    """Leave a step's component out of a deploy that is under way, with all that needs it. Raises ConflictError."""
    row, found, state = _load(tx, deploy, step)
    why_not = engine.why_no_skip(state, found.id)
    if row.ended_at is not None:
        why_not = f"the deploy has ended: it is {row.status}"
    if why_not:
        raise ConflictError(f"{found.component} can't be skipped: {why_not}")
    tx.emit(
        "step.skip_requested",
        found.id,
        after={"deploy": row.id, "component": found.component, "note": note},
        app_id=row.app_id,
        install_id=row.install_id,
    )
    service.advance(tx, row, engine.SkipRequested(found.id))
    return row


def _load(tx: Read, deploy: str, step: str) -> tuple[DeployRow, StepRow, engine.DeployState]:
    row = service.find(tx, deploy)
    found = step_of(tx, row, step)
    steps = service.steps_of(tx, row.id)
    mine = col(JobRow.step_id).in_([each.id for each in steps])
    leased = tx.all(select(JobRow).where(mine, col(JobRow.state).in_(("leased", "unknown"))))
    running = {job.step_id for job in leased if job.step_id}
    return row, found, engine.with_running(service.state_of(tx, row, steps), running)


def roll_back(tx: Write, vault: Vault, install: str, release_id: str | None) -> DeployRow:
    """Deploy an earlier release: the newest one before the current one that was deployed well, or the one named.

    Raises ConflictError if there is none, InvalidError if the one named can't be deployed.
    """
    row = installs.find(tx, install)
    last = _last_deploy(tx, row.id)
    if last is None:
        raise ConflictError(f"nothing was ever deployed to install {row.name!r}", remedy="Deploy a release.")
    release_id = release_id or _earlier(tx, row.id, last)
    if release_id is None:
        raise ConflictError(
            f"install {row.name!r} was never well on an earlier release than the current one",
            remedy="Name a release with `release_id`, or deploy a new one.",
        )
    return making.create(tx, vault, DeployCreate(install_id=row.id, release_id=release_id), rollback_of=last.id)


def _last_deploy(tx: Read, install_id: str) -> DeployRow | None:
    deploys = select(DeployRow).where(DeployRow.install_id == install_id, DeployRow.kind == "deploy")
    return tx.first(deploys.order_by(col(DeployRow.id).desc()).limit(1))


def _earlier(tx: Read, install_id: str, last: DeployRow) -> str | None:
    """By number, not by time: rolling back twice goes back two releases, not back and forth."""
    current = tx.session.get(ReleaseRow, last.release_id)
    if current is None:
        return None
    return tx.first(
        select(ReleaseRow.id)
        .join(DeployRow, col(DeployRow.release_id) == col(ReleaseRow.id))
        .where(
            DeployRow.install_id == install_id,
            DeployRow.kind == "deploy",
            DeployRow.status == "succeeded",
            ReleaseRow.number < current.number,
            col(ReleaseRow.deleted_at).is_(None),
        )
        .order_by(col(ReleaseRow.number).desc())
        .limit(1)
    )
