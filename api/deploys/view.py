"""Deploys and steps as the API shows them."""

from sqlmodel import col, select

from api.contract.approvals import StepApproval
from api.contract.base import Page
from api.contract.resources import Deploy, DeployKind, PlanSummary, Step, StepStatus
from api.db.pages import page
from api.db.transaction import Read
from api.deploys import approvals
from api.deploys.models import ApprovalRow, DeployRow, StepRow
from api.deploys.service import find, steps_of
from api.installs import service as installs
from api.installs.labels import selects
from api.jobs import waiting
from api.jobs.models import JobRow
from api.releases.models import ReleaseRow

_ACTIVE: dict[str, StepStatus] = {"queued": "ready", "leased": "running", "unknown": "unknown"}


def public(tx: Read, row: DeployRow) -> Deploy:
    """A deploy with its steps, and what the install gives out now."""
    release = tx.session.get(ReleaseRow, row.release_id) if row.release_id else None
    steps = {step.id: step for step in steps_of(tx, row.id)}
    components = installs.components_of(tx, row.install_id)
    answers = approvals.answers(tx, row.id) if row.approval != "auto" else []
    return Deploy(
        release_number=release.number if release else None,
        steps=[_step(tx, row, step, steps, answers) for step in steps.values()],
        left_out=list(dict.fromkeys(step.component for step in steps.values() if step.left_out)),
        outputs={component.name: component.outputs for component in components},
        sensitive_outputs={c.name: c.sensitive_outputs for c in components if c.sensitive_outputs},
        **row.model_dump(exclude={"sealed_inputs"}),
    )


def _step(tx: Read, deploy: DeployRow, row: StepRow, steps: dict[str, StepRow], answers: list[ApprovalRow]) -> Step:
    approval = _approval(deploy, row, steps, answers) if row.kind == "approve" else None
    job = tx.session.get(JobRow, row.job_id) if row.job_id else None
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
        waiting_for=_waiting_for(tx, row, job, steps, approval),
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _approval(deploy: DeployRow, row: StepRow, steps: dict[str, StepRow], answers: list[ApprovalRow]) -> StepApproval | None:
    """What a step asks for, and the answer, if it is one to the plan of now."""
    plan = approvals.plan_of(list(steps.values()), row)
    if plan is None or plan.plan_digest is None or row.started_at is None:
        return None
    said = next((one for one in reversed(answers) if one.step_id == row.id and one.plan_job_id == plan.job_id), None)
    return StepApproval(
        approver="customer" if deploy.approval == "customer" else "vendor",
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


def _waiting_for(tx: Read, row: StepRow, job: JobRow | None, steps: dict[str, StepRow], approval: StepApproval | None) -> str:
    if approval and row.phase == "active":
        plan = approvals.plan_of(list(steps.values()), row)
        until = f", until {approval.expires_at:%Y-%m-%d %H:%M:%SZ}" if approval.expires_at else ""
        what = in_words(plan.plan) if plan and plan.plan else ""
        return f"waiting for the {approval.approver}'s approval since {approval.requested_at:%Y-%m-%d %H:%M:%SZ}{until}; {what}"
    if row.phase == "waiting":
        left = [steps[need] for need in row.needs if steps[need].phase in ("waiting", "active")]
        return "waiting for " + ", ".join(f"{step.component}: {step.kind}" for step in left)
    return waiting.reason(tx, job) if job and row.phase == "active" else ""


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
    selector: str | None,
    newest_first: bool,
) -> Page[Deploy]:
    """One page of deploys. Drift runs are listed only if their kind is asked for."""
    query = select(DeployRow).where(DeployRow.kind == kind if kind else DeployRow.kind != "drift")
    if install:
        query = query.where(DeployRow.install_id == installs.find(tx, install).id)
    if selector:
        query = query.where(*selects(selector, col(DeployRow.install_id)))
    return page(tx, query, col(DeployRow.id), lambda row: public(tx, row), limit=limit, after=after, newest_first=newest_first)
