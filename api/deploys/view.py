"""Deploys and steps as the API shows them."""

from sqlmodel import col, select

from api.contract.base import Page
from api.contract.resources import Deploy, Step, StepStatus
from api.db.pages import page
from api.db.transaction import Read
from api.deploys.models import DeployRow, StepRow
from api.deploys.service import find, steps_of
from api.installs import service as installs
from api.jobs import waiting
from api.jobs.models import JobRow
from api.releases.models import ReleaseRow

_ACTIVE: dict[str, StepStatus] = {"queued": "ready", "leased": "running", "unknown": "unknown"}


def public(tx: Read, row: DeployRow) -> Deploy:
    """A deploy with its steps, and what the install gives out now."""
    release = tx.session.get(ReleaseRow, row.release_id) if row.release_id else None
    steps = {step.id: step for step in steps_of(tx, row.id)}
    components = installs.components_of(tx, row.install_id)
    return Deploy(
        release_number=release.number if release else None,
        steps=[_step(tx, step, steps) for step in steps.values()],
        outputs={component.name: component.outputs for component in components},
        sensitive_outputs={c.name: c.sensitive_outputs for c in components if c.sensitive_outputs},
        **row.model_dump(exclude={"sealed_inputs"}),
    )


def _step(tx: Read, row: StepRow, steps: dict[str, StepRow]) -> Step:
    job = tx.session.get(JobRow, row.job_id) if row.job_id else None
    status: StepStatus = row.phase if row.phase != "active" else _ACTIVE.get(job.state if job else "", "running")
    return Step(
        id=row.id,
        component=row.component,
        kind=row.kind,
        status=status,
        job_id=row.job_id,
        attempt=job.attempt if job else 0,
        needs=row.needs,
        plan=row.plan,
        failure=row.failure,
        waiting_for=_waiting_for(tx, row, job, steps),
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _waiting_for(tx: Read, row: StepRow, job: JobRow | None, steps: dict[str, StepRow]) -> str:
    if row.phase == "waiting":
        left = [steps[need] for need in row.needs if steps[need].phase in ("waiting", "active")]
        return "waiting for " + ", ".join(f"{step.component}: {step.kind}" for step in left)
    return waiting.reason(tx, job) if job and row.phase == "active" else ""


def get(tx: Read, deploy: str) -> Deploy:
    """One deploy."""
    return public(tx, find(tx, deploy))


def list_deploys(tx: Read, *, limit: int, after: str | None, install: str | None, newest_first: bool) -> Page[Deploy]:
    """One page of deploys."""
    query = tx.scope.narrow(select(DeployRow), app=DeployRow.app_id, install=DeployRow.install_id)
    if install:
        query = query.where(DeployRow.install_id == installs.find(tx, install).id)
    return page(tx, query, col(DeployRow.id), lambda row: public(tx, row), limit=limit, after=after, newest_first=newest_first)
