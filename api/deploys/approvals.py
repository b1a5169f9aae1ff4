"""Answers to plans. An approval is bound to the plan that the approver saw: a new plan makes it void."""

from sqlmodel import col, select

from api.agents.service import AgentCaller
from api.contract.agent_approvals import PendingApproval, PendingApprovals
from api.contract.approvals import Decision
from api.contract.base import Failure
from api.contract.problems import ConflictError, NotFoundError, NotTheApproverError
from api.db.transaction import Read, Write
from api.deploys import decide as engine
from api.deploys import service
from api.deploys.asking import approver
from api.deploys.models import ApprovalRow, DeployRow, StepRow
from api.releases.models import ReleaseRow


def step_of(tx: Read, deploy: DeployRow, step: str) -> StepRow:
    """The step of a deploy with this id. Raises NotFoundError."""
    row = tx.session.get(StepRow, step)
    if row is None or row.deploy_id != deploy.id:
        raise NotFoundError(f"deploy {deploy.id} has no step {step!r}")
    return row


def plan_of(steps: list[StepRow], step: StepRow) -> StepRow | None:
    """The plan step before an approval."""
    return next((each for each in steps if each.id in step.needs and each.kind in ("plan", "plan_destroy")), None)


def answers(tx: Read, deploy_id: str) -> list[ApprovalRow]:
    """Every answer that was given on a deploy, oldest first."""
    return tx.all(select(ApprovalRow).where(ApprovalRow.deploy_id == deploy_id).order_by(col(ApprovalRow.id)))


def decide_by_person(tx: Write, deploy: str, step: str, decision: Decision, plan_digest: str, note: str) -> DeployRow:
    """A person's answer. They may always say no; their yes counts where the vendor approves.

    Raises NotFoundError, NotTheApproverError or ConflictError.
    """
    row = service.find(tx, deploy)
    if decision == "approved" and approver(row, step_of(tx, row, step)) == "customer":
        tx.note_refusal("approval.refused", step_of(tx, row, step).id, {"deploy": row.id, "by": tx.actor})
        raise NotTheApproverError(
            "the plan waits for the customer: only the install's own agent can approve it",
            remedy=f"Ask the customer to run `exclave agent approve {row.id}` on the agent's machine.",
        )
    return _decide(tx, row, step, decision, plan_digest, note)


def decide_by_agent(
    tx: Write, agent: AgentCaller, deploy: str, step: str, decision: Decision, plan_digest: str, note: str
) -> None:
    """The customer's answer, from the agent of the deploy's install. Raises NotFoundError, ConflictError or the like."""
    row = service.find(tx, deploy)
    if agent.install_id is None or row.install_id != agent.install_id:
        raise NotFoundError(f"there is no deploy {deploy!r}")
    if approver(row, step_of(tx, row, step)) != "customer":
        raise NotTheApproverError(f"the plan doesn't wait for the customer, but for the vendor: deploy {row.id}")
    _decide(tx, row, step, decision, plan_digest, note)


def _decide(tx: Write, deploy: DeployRow, step_id: str, decision: Decision, plan_digest: str, note: str) -> DeployRow:
    step = step_of(tx, deploy, step_id)
    if step.kind != "approve":
        raise ConflictError(f"step {step.id} is a {step.kind}, which nobody approves", remedy="Name a step of kind approve.")
    plan = plan_of(service.steps_of(tx, deploy.id), step)
    if plan is None:
        raise LookupError(f"step {step.id} has no plan before it")
    last = next((one for one in reversed(answers(tx, deploy.id)) if one.step_id == step.id), None)
    said = (last.decision, last.plan_digest, last.plan_job_id, last.decided_by) if last else None
    if said == (decision, plan_digest, plan.job_id, tx.actor):
        return deploy  # the same answer again: the one before was lost on its way back
    if step.phase != "active":
        raise ConflictError(
            f"the {step.component} step waits for no approval: it is {step.phase}",
            remedy=f"See what it does: `exclave deploys show {deploy.id}`.",
        )
    if plan.plan_digest != plan_digest or plan.job_id is None:
        raise ConflictError(
            f"the plan of {step.component} is another one now: {plan.plan_digest}, not {plan_digest}",
            remedy=f"Look at the new plan, then answer again: `exclave deploys show {deploy.id}`.",
        )
    tx.session.add(
        ApprovalRow(
            id=tx.new_id("apr"),
            deploy_id=deploy.id,
            step_id=step.id,
            approver=approver(deploy, step),
            plan_job_id=plan.job_id,
            plan_digest=plan_digest,
            decision=decision,
            decided_by=tx.actor,
            note=note,
            decided_at=tx.now,
        )
    )
    tx.emit(
        f"approval.{decision}",
        step.id,
        after={"deploy": deploy.id, "component": step.component, "plan_digest": plan_digest, "note": note},
        app_id=deploy.app_id,
        install_id=deploy.install_id,
    )
    if decision == "approved":
        service.advance(tx, deploy, engine.StepEnded(step.id, "succeeded"))
    else:
        why = f": {note}" if note else ""
        message = f"{tx.actor} rejected the plan{why}"
        _fail(tx, deploy, step, Failure(code="approval_rejected", message=message, remedy="Change what it says; deploy again."))
    return deploy


def _fail(tx: Write, deploy: DeployRow, step: StepRow, failure: Failure) -> None:
    step.failure = failure
    service.advance(tx, deploy, engine.StepEnded(step.id, "failed"))


def expired(tx: Read) -> list[StepRow]:
    """Steps whose approval did not come in time."""
    return tx.all(select(StepRow).where(col(StepRow.due_at).is_not(None), col(StepRow.due_at) <= tx.now))


def expire(tx: Write) -> None:
    """Fail every step whose approval did not come in time."""
    for step in expired(tx):
        deploy = service.find(tx, step.deploy_id)
        tx.emit(
            "approval.expired",
            step.id,
            after={"deploy": deploy.id, "component": step.component},
            app_id=deploy.app_id,
            install_id=deploy.install_id,
        )
        message = f"nobody approved the plan by {step.due_at:%Y-%m-%d %H:%M:%SZ}"
        _fail(tx, deploy, step, Failure(code="approval_expired", message=message, remedy="Deploy again."))


def pending(tx: Read, agent: AgentCaller) -> PendingApprovals:
    """What waits for the customer on the agent's install."""
    query = (
        select(DeployRow, StepRow)
        .join(StepRow, col(StepRow.deploy_id) == col(DeployRow.id))
        .where(
            DeployRow.install_id == agent.install_id,
            col(DeployRow.ended_at).is_(None),
            (col(DeployRow.approval) == "customer") | col(StepRow.conditional),
            StepRow.kind == "approve",
            StepRow.phase == "active",
        )
        .order_by(col(StepRow.id))
    )
    found = []
    for deploy, step in tx.session.exec(query):
        plan = plan_of(service.steps_of(tx, deploy.id), step)
        release = tx.session.get(ReleaseRow, deploy.release_id) if deploy.release_id else None
        if plan is None or plan.plan is None or plan.plan_digest is None or plan.job_id is None or step.started_at is None:
            raise LookupError(f"step {step.id} waits for the approval of no plan")
        found.append(
            PendingApproval(
                deploy_id=deploy.id,
                release_number=release.number if release else None,
                step_id=step.id,
                component=step.component,
                action="apply" if plan.kind == "plan" else "destroy",
                plan_job_id=plan.job_id,
                plan_digest=plan.plan_digest,
                plan=plan.plan,
                requested_at=step.started_at,
                expires_at=step.due_at,
            )
        )
    return PendingApprovals(items=found)
