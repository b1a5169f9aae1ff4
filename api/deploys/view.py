"""Deploys and steps as the API shows them."""

from collections import defaultdict

from sqlmodel import col, select

from api.contract.base import Page
from api.contract.resources import Deploy, Step, StepStatus
from api.db.pages import page
from api.db.transaction import Read
from api.deploys.models import DeployRow, StepRow
from api.deploys.service import find
from api.installs import service as installs
from api.installs.models import InstalledComponentRow
from api.jobs import waiting
from api.jobs.models import JobRow
from api.releases.models import ReleaseRow

_ACTIVE: dict[str, StepStatus] = {"queued": "ready", "leased": "running", "unknown": "unknown"}


def public(tx: Read, row: DeployRow) -> Deploy:
    """A deploy with its steps, and what the install gives out now."""
    return publics(tx, [row])[0]


def publics(tx: Read, rows: list[DeployRow]) -> list[Deploy]:
    """The same of many deploys. The number of queries doesn't grow with them, nor with their steps."""
    if not rows:
        return []
    deploys = [row.id for row in rows]
    numbers = dict(
        tx.session.exec(
            select(ReleaseRow.id, ReleaseRow.number).where(col(ReleaseRow.id).in_({row.release_id for row in rows}))
        ).all()
    )
    steps: defaultdict[str, dict[str, StepRow]] = defaultdict(dict)
    of_deploys = col(StepRow.deploy_id).in_(deploys)
    for step in tx.all(select(StepRow).where(of_deploys).order_by(col(StepRow.position))):
        steps[step.deploy_id][step.id] = step
    of_steps = select(JobRow).join(StepRow, col(StepRow.job_id) == col(JobRow.id)).where(of_deploys)
    jobs = {job.id: job for job in tx.all(of_steps)}
    why = waiting.reasons(tx, jobs.values())
    components: defaultdict[str, list[InstalledComponentRow]] = defaultdict(list)
    of_installs = col(InstalledComponentRow.install_id).in_({row.install_id for row in rows})
    for component in tx.all(select(InstalledComponentRow).where(of_installs).order_by(col(InstalledComponentRow.name))):
        components[component.install_id].append(component)
    found = []
    for row in rows:
        mine = [_step(step, steps[row.id], jobs, why) for step in steps[row.id].values()]
        found.append(
            Deploy(
                release_number=numbers.get(row.release_id or ""),
                steps=mine,
                outputs={component.name: component.outputs for component in components[row.install_id]},
                sensitive_outputs={c.name: c.sensitive_outputs for c in components[row.install_id] if c.sensitive_outputs},
                waiting_for="" if row.ended_at else _deploy_waits(row, mine),
                **row.model_dump(exclude={"sealed_inputs"}),
            )
        )
    return found


def _deploy_waits(row: DeployRow, steps: list[Step]) -> str:
    """What its steps in work say; one that waits for others says nothing of its own."""
    said = [
        f"{step.component} {step.kind}: {step.waiting_for}"
        for step in steps
        if step.waiting_for and step.status in ("ready", "running", "unknown")
    ]
    stopping = ["cancelling"] if row.status == "cancelling" else []
    return "; ".join(stopping + said)


def _step(row: StepRow, steps: dict[str, StepRow], jobs: dict[str, JobRow], why: dict[str, str]) -> Step:
    job = jobs.get(row.job_id or "")
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
        waiting_for=_waiting_for(row, steps, why),
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _waiting_for(row: StepRow, steps: dict[str, StepRow], why: dict[str, str]) -> str:
    if row.phase == "waiting":
        left = [steps[need] for need in row.needs if steps[need].phase in ("waiting", "active")]
        return "waiting for " + ", ".join(f"{step.component}: {step.kind}" for step in left)
    return why.get(row.job_id or "", "") if row.phase == "active" else ""


def get(tx: Read, deploy: str) -> Deploy:
    """One deploy."""
    return public(tx, find(tx, deploy))


def list_deploys(tx: Read, *, limit: int, after: str | None, install: str | None, newest_first: bool) -> Page[Deploy]:
    """One page of deploys."""
    query = select(DeployRow)
    if install:
        query = query.where(DeployRow.install_id == installs.find(tx, install).id)
    found = page(tx, query, col(DeployRow.id), lambda row: row, limit=limit, after=after, newest_first=newest_first)
    return Page(items=publics(tx, found.items), after=found.after)
