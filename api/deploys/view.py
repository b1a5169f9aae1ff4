"""Deploys and steps as the API shows them."""

from collections import defaultdict
from dataclasses import dataclass

from sqlmodel import col, select

from api.apps import service as apps
from api.contract.approvals import StepApproval
from api.contract.base import Page
from api.contract.resources import Deploy, DeployKind, DeployStatus, PlanSummary, Step, StepStatus
from api.db.pages import page
from api.db.transaction import Read
from api.deploys import approvals, loading
from api.deploys.asking import approver
from api.deploys.models import ApprovalRow, DeployRow, StepRow
from api.deploys.service import find
from api.installs import service as installs
from api.installs.models import LABELS
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
    numbers = {release.id: release.number for release in tx.get_many(ReleaseRow, (row.release_id for row in rows))}
    steps = {of: {step.id: step for step in mine} for of, mine in loading.steps_of(tx, deploys).items()}
    jobs = {job.id: job for job in tx.get_many(JobRow, (step.job_id for mine in steps.values() for step in mine.values()))}
    why = waiting.reasons(tx, jobs.values())
    answers: defaultdict[str, list[ApprovalRow]] = defaultdict(list)
    if any(step.kind == "approve" for mine in steps.values() for step in mine.values()):
        for answer in tx.all(select(ApprovalRow).where(col(ApprovalRow.deploy_id).in_(deploys)).order_by(col(ApprovalRow.id))):
            answers[answer.deploy_id].append(answer)
    components = loading.installed_on(tx, {row.install_id for row in rows})
    found = []
    for row in rows:
        seen = _Seen(row, steps[row.id], jobs, why, answers[row.id])
        mine = [_step(step, seen) for step in steps[row.id].values()]
        found.append(
            Deploy(
                release_number=numbers.get(row.release_id or ""),
                steps=mine,
                left_out=list(dict.fromkeys(step.component for step in steps[row.id].values() if step.left_out)),
                outputs={component.name: component.outputs for component in components[row.install_id]},
                sensitive_outputs={c.name: c.sensitive_outputs for c in components[row.install_id] if c.sensitive_outputs},
                waiting_for="" if row.ended_at else _deploy_waits(row, mine),
                **row.model_dump(exclude={"sealed_inputs"}),
            )
        )
    return found


@dataclass(frozen=True)
class _Seen:
    """What the steps of one deploy are shown with."""

    deploy: DeployRow
    steps: dict[str, StepRow]
    jobs: dict[str, JobRow]
    why: dict[str, str]
    answers: list[ApprovalRow]


def _deploy_waits(row: DeployRow, steps: list[Step]) -> str:
    """What its steps in work say; one that waits for others says nothing of its own."""
    if row.status == "pending":
        return "its steps are being planned"
    said = [
        f"{step.component} {step.kind}: {step.waiting_for}"
        for step in steps
        if step.waiting_for and (step.status in ("ready", "running", "unknown") or step.approval)
    ]
    stopping = ["cancelling"] if row.status == "cancelling" else []
    return "; ".join(stopping + said)


def _step(row: StepRow, seen: _Seen) -> Step:
    approval = _approval(row, seen) if row.kind == "approve" else None
    job = seen.jobs.get(row.job_id or "")
    status: StepStatus = row.phase if row.phase != "active" else _ACTIVE.get(job.state if job else "", "running")
    if approval and row.phase == "active":
        status = "waiting"
    return Step(
        id=row.id,
        component=row.component,
        kind=row.kind,
        status=status,
        job_id=row.job_id,
        attempt=job.attempt if job else 0,
        needs=row.needs,
        plan=row.plan,
        approval=approval,
        failure=row.failure,
        waiting_for=_waiting_for(row, seen, approval),
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _approval(row: StepRow, seen: _Seen) -> StepApproval | None:
    """What a step asks for, and the answer, if it is one to the plan of now."""
    plan = approvals.plan_of(list(seen.steps.values()), row)
    if plan is None or plan.plan_digest is None or row.started_at is None:
        return None
    said = next((one for one in reversed(seen.answers) if one.step_id == row.id and one.plan_job_id == plan.job_id), None)
    return StepApproval(
        approver=approver(seen.deploy, row),
        plan_digest=plan.plan_digest,
        requested_at=row.started_at,
        expires_at=row.due_at,
        decision=said.decision if said else None,
        decided_by=said.decided_by if said else None,
        decided_at=said.decided_at if said else None,
        note=said.note if said else "",
    )


def in_words(plan: PlanSummary) -> str:
    """A plan's counts, in words."""
    counts = [(plan.add, "to add"), (plan.change, "to change"), (plan.destroy, "to destroy")]
    said = [f"{count} {what}" for count, what in counts if count]
    return ", ".join(said) or ("only outputs change" if plan.outputs_change else "nothing to do")


def _waiting_for(row: StepRow, seen: _Seen, approval: StepApproval | None) -> str:
    if approval and row.phase == "active":
        plan = approvals.plan_of(list(seen.steps.values()), row)
        until = f", until {approval.expires_at:%Y-%m-%d %H:%M:%SZ}" if approval.expires_at else ""
        what = in_words(plan.plan) if plan and plan.plan else ""
        asks = plan.plan.asks if plan and plan.plan and approval.approver == "customer" else []
        because = f"; the customer's policy asks for it: {', '.join(asks)}" if asks else ""
        since = f"{approval.requested_at:%Y-%m-%d %H:%M:%SZ}"
        return f"waiting for the {approval.approver}'s approval since {since}{until}; {what}{because}"
    if row.phase == "waiting":
        left = [seen.steps[need] for need in row.needs if seen.steps[need].phase in ("waiting", "active")]
        return "waiting for " + ", ".join(f"{step.component}: {step.kind}" for step in left)
    return seen.why.get(row.job_id or "", "") if row.phase == "active" else ""


def get(tx: Read, deploy: str) -> Deploy:
    """One deploy."""
    return public(tx, find(tx, deploy))


def list_deploys(
    tx: Read,
    *,
    limit: int,
    after: str | None,
    install: str | None,
    kind: DeployKind | None,
    app: str | None,
    release: str | None,
    release_number: int | None,
    status: DeployStatus | None,
    selector: str | None,
    newest_first: bool,
) -> Page[Deploy]:
    """One page of deploys. Drift runs are listed only if their kind is asked for."""
    query = tx.scope.narrow(select(DeployRow), app=DeployRow.app_id, install=DeployRow.install_id).where(
        DeployRow.kind == kind if kind else DeployRow.kind != "drift"
    )
    if install:
        query = query.where(DeployRow.install_id == installs.find(tx, install).id)
    if app:
        query = query.where(DeployRow.app_id == apps.find(tx, app).id)
    if release:
        query = query.where(DeployRow.release_id == release)
    if release_number is not None:
        numbered = select(ReleaseRow.id).where(ReleaseRow.number == release_number)
        query = query.where(col(DeployRow.release_id).in_(numbered))
    if status:
        query = query.where(DeployRow.status == status)
    if selector:
        query = query.where(*LABELS.selects(selector, col(DeployRow.install_id)))
    found = page(tx, query, col(DeployRow.id), lambda row: row, limit=limit, after=after, newest_first=newest_first)
    return Page(items=publics(tx, found.items), after=found.after)
