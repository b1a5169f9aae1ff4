"""What a deploy's life means: loads what `decide` and `planning` want to know, and carries out what they say."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlmodel import col, select

from api.contract.agents import ApplyResult, JobResult, PlanResult
from api.contract.base import Failure
from api.contract.problems import ConflictError, NotFoundError
from api.contract.resources import DeployStatus
from api.db.statements import Query, among
from api.db.transaction import Read, Write
from api.deploys import asking, drift, healing, health
from api.deploys import decide as engine
from api.deploys.models import DeployRow, StepRow
from api.installs.models import InstalledComponentRow, InstallRow
from api.jobs import queue
from api.jobs.models import JobRow
from api.jobs.retry import AGENT_LOST

UNDER_WAY = Query(
    select(DeployRow).where(
        col(DeployRow.ended_at).is_(None), DeployRow.kind != "drift", among(DeployRow.install_id, "installs")
    )
)


def topic(deploy_id: str) -> str:
    """What somebody listens to who waits for a deploy."""
    return f"deploy:{deploy_id}"


def find(tx: Read, deploy: str) -> DeployRow:
    """The deploy with this id. Raises NotFoundError."""
    row = tx.get(DeployRow, deploy)
    if row is None or not tx.scope.holds(app_id=row.app_id, install_id=row.install_id):
        raise NotFoundError(f"there is no deploy {deploy!r}")
    return row


def under_way(tx: Read, install_id: str) -> DeployRow | None:
    """The deploy or teardown that is under way on an install. A drift run gives way to it."""
    if ("under way", install_id) in tx.memo:
        known: DeployRow | None = tx.memo["under way", install_id]
        return known if known and known.ended_at is None else None
    return next(iter(tx.all(UNDER_WAY, installs=[install_id])), None)


def keep_under_way(tx: Read, install_ids: Collection[str], rows: Sequence[DeployRow]) -> None:
    """Remember what `UNDER_WAY` has found on many installs; who makes a deploy from then on says so (`remember`)."""
    found = {row.install_id: row for row in rows}
    tx.memo.update({("under way", install_id): found.get(install_id) for install_id in install_ids})


def remember(tx: Read, deploy: DeployRow) -> None:
    """A deploy that was made after `keep_under_way`."""
    if ("under way", deploy.install_id) in tx.memo:
        tx.memo["under way", deploy.install_id] = deploy


def check_idle(tx: Read, install: InstallRow) -> None:
    """Raises ConflictError while something is under way on an install."""
    if running := under_way(tx, install.id):
        raise ConflictError(
            f"{running.kind} {running.id} is still under way on install {install.name!r}",
            remedy=f"Wait: `exclave deploys show {running.id} --follow`. Or cancel it: `exclave deploys cancel {running.id}`.",
        )


def steps_of(tx: Read, deploy_id: str) -> list[StepRow]:
    """The steps of a deploy, in the order of the graph."""
    known: list[StepRow] | None = tx.memo.get(("steps", deploy_id))
    if known is not None:
        return known
    return tx.all(select(StepRow).where(StepRow.deploy_id == deploy_id).order_by(col(StepRow.position)))


def advance(tx: Write, deploy: DeployRow, event: engine.Event) -> None:
    """Decide what follows from an event, and do it."""
    steps = {step.id: step for step in steps_of(tx, deploy.id)}
    for change in engine.decide(state_of(tx, deploy, list(steps.values())), event):
        match change:
            case engine.SetPhase():
                _set_phase(tx, deploy, steps[change.step_id], change)
            case engine.Enqueue(step_id):
                _enqueue(tx, deploy, steps[step_id])
            case engine.AskApproval(step_id):
                _ask_approval(tx, deploy, steps[step_id])
            case engine.Replan(step_id):
                steps[step_id].replans += 1
                after = {"component": steps[step_id].component}
                tx.emit("step.replanned", step_id, after=after, app_id=deploy.app_id, install_id=deploy.install_id)
            case engine.CancelJob(step_id):
                _cancel_job(tx, steps[step_id])
            case engine.DropJob(step_id):
                _drop_job(tx, steps[step_id])
            case engine.End(status):
                _end(tx, deploy, status, next((step.failure for step in steps.values() if step.phase == "failed"), None))
    moved(tx, deploy)


def state_of(tx: Read, deploy: DeployRow, steps: list[StepRow]) -> engine.DeployState:
    """A deploy as `decide` sees it."""
    return engine.DeployState(tuple([_state(tx, deploy, step) for step in steps]), cancelling=deploy.status == "cancelling")


def _state(tx: Read, deploy: DeployRow, row: StepRow) -> engine.StepState:
    return engine.StepState(
        id=row.id,
        component=row.component,
        kind=row.kind,
        phase=row.phase,
        needs=tuple(row.needs),
        conditional=row.conditional,
        plan_empty=_nothing_to_apply(tx, deploy, row),
        plan_harmless=row.plan is not None and row.plan.empty,
        plan_asks=row.plan is not None and bool(row.plan.asks),
        outputs_changed=row.outputs_changed,
        replans=row.replans,
        left_out=row.left_out,
    )


def _nothing_to_apply(tx: Read, deploy: DeployRow, step: StepRow) -> bool:
    """Whether the step's plan is empty. After an apply that did not end well even an empty one is applied, for its outputs."""
    if step.plan is None or not step.plan.empty:
        return False
    installed = tx.get(InstalledComponentRow, (deploy.install_id, step.component))
    return installed is None or installed.fingerprint is not None


def moved(tx: Write, deploy: DeployRow) -> None:
    """Whoever watches the deploy looks again."""
    deploy.version += 1
    tx.ring(topic(deploy.id))


def _set_phase(tx: Write, deploy: DeployRow, step: StepRow, change: engine.SetPhase) -> None:
    phase, because = change.phase, change.because
    step.phase, step.left_out, step.due_at = phase, change.left_out, None
    if phase == "waiting":
        step.started_at = step.ended_at = step.failure = step.plan = step.plan_digest = None
    elif phase != "active":
        step.ended_at = tx.now
    if because:
        step.failure = Failure(code="dependency_failed", message=f"not run, because {because} did not end well")
    elif change.left_out:
        step.failure = Failure(code="left_out", message=f"not run: left out by {tx.actor}", remedy="The next deploy plans it.")
    if deploy.kind != "drift":
        _note_phase(tx, deploy, step, phase)
    tx.emit(
        f"step.{phase}",
        step.id,
        after={
            "deploy": deploy.id,
            "component": step.component,
            "kind": step.kind,
            "failure": step.failure.model_dump(mode="json") if step.failure else None,
        },
        app_id=deploy.app_id,
        install_id=deploy.install_id,
    )


def _note_phase(tx: Write, deploy: DeployRow, step: StepRow, phase: engine.StepPhase) -> None:
    """What a step's new phase says about the component in the customer's account."""
    if step.kind == "apply" and phase == "skipped" and not step.left_out:
        _mark_in_work(tx, deploy, step)  # a plan without changes still brings the component to this release
    installed = tx.get(InstalledComponentRow, (deploy.install_id, step.component))
    if installed is None:
        return
    if phase in ("failed", "cancelled") or step.left_out:
        installed.fingerprint = None  # whatever it was meant to get, it hasn't: the next deploy plans it again
        if installed.status in ("deploying", "removing"):
            installed.status = "failed"
    elif step.kind == "apply" and phase in ("succeeded", "skipped") and deploy.release_id:
        installed.status = "deployed"
        installed.fingerprint = step.fingerprint
        installed.release_id = deploy.release_id
        installed.drift_checked_at = installed.drift = None
        installed.updated_at = tx.now
    elif step.kind == "destroy" and phase == "succeeded":
        tx.session.delete(installed)


def _enqueue(tx: Write, deploy: DeployRow, step: StepRow) -> None:
    if step.kind == "approve":
        raise LookupError(f"step {step.id} waits for a person and has no job")
    job = queue.enqueue(tx, step.kind, step_id=step.id, install_id=deploy.install_id)
    step.job_id = job.id
    step.started_at = tx.now
    _mark_in_work(tx, deploy, step)


def _ask_approval(tx: Write, deploy: DeployRow, step: StepRow) -> None:
    """From here on nothing runs and nothing polls: the row waits, until an answer or `due_at`."""
    install = tx.session.get(InstallRow, deploy.install_id)
    step.started_at = tx.now
    if install and install.approval_timeout_hours:
        step.due_at = tx.now + timedelta(hours=install.approval_timeout_hours)
    tx.emit(
        "approval.requested",
        step.id,
        after={"deploy": deploy.id, "component": step.component, "approver": asking.approver(deploy, step)},
        app_id=deploy.app_id,
        install_id=deploy.install_id,
    )


def _mark_in_work(tx: Write, deploy: DeployRow, step: StepRow) -> None:
    """From the first step on that can leave something in the account, the install says that the component is there."""
    installed = tx.get(InstalledComponentRow, (deploy.install_id, step.component))
    if step.kind == "destroy" and installed:
        installed.status, installed.fingerprint = "removing", None
    elif step.kind == "apply" and deploy.release_id:
        if installed is None:
            installed = InstalledComponentRow(
                install_id=deploy.install_id,
                name=step.component,
                status="deploying",
                release_id=deploy.release_id,
                build_id=step.build_id,
                config=step.config,
                digest=step.digest,
                repository=step.repository,
                outputs={},
                sensitive_outputs=[],
                updated_at=tx.now,
            )
            tx.session.add(installed)
        installed.status, installed.fingerprint = "deploying", None
        installed.release_id, installed.build_id = deploy.release_id, step.build_id
        installed.config, installed.digest, installed.repository = step.config, step.digest, step.repository
        installed.updated_at = tx.now


def _cancel_job(tx: Write, step: StepRow) -> None:
    job = tx.get(JobRow, step.job_id) if step.job_id else None
    if job:
        queue.request_cancel(tx, job)


def _drop_job(tx: Write, step: StepRow) -> None:
    job = tx.get(JobRow, step.job_id) if step.job_id else None
    if job and job.state == "queued":
        queue.close(tx, job, "cancelled", None)


def fail(tx: Write, deploy: DeployRow, failure: Failure) -> None:
    """End a deploy that has no steps yet, and won't have any."""
    _end(tx, deploy, "failed", failure)
    moved(tx, deploy)


def _end(tx: Write, deploy: DeployRow, status: DeployStatus, failure: Failure | None) -> None:
    deploy.status = status
    deploy.ended_at = tx.now
    deploy.failure = failure
    tx.emit(
        f"deploy.{status}",
        deploy.id,
        after={"failure": deploy.failure.model_dump(mode="json") if deploy.failure else None},
        app_id=deploy.app_id,
        install_id=deploy.install_id,
    )
    if deploy.kind == "drift":
        healing.after(tx, deploy)


def step_ended(tx: Write, job: JobRow, outcome: str, result: JobResult | None, failure: Failure | None) -> None:
    """A step's job is over: note what it brought, and go on."""
    step = tx.get(StepRow, job.step_id) if job.step_id else None
    if step is None:
        raise LookupError(f"job {job.id} belongs to no step")
    deploy = find(tx, step.deploy_id)
    step.failure = failure
    if isinstance(result, PlanResult):
        step.plan, step.plan_digest = result.summary, result.plan_digest
        if deploy.kind == "drift":
            drift.note(tx, deploy, step.component, result.summary)
        elif result.summary.asks:
            asking.ask_customer(tx, deploy, step, steps_of(tx, deploy.id))
        if result.health:
            health.note(tx, deploy, step.component, result.health)
    if isinstance(result, ApplyResult):
        _note_outputs(tx, deploy, step, result)
    event = engine.StepEnded(
        step.id,
        outcome,  # type: ignore[arg-type]
        plan_empty=_nothing_to_apply(tx, deploy, step),
        plan_harmless=step.plan is not None and step.plan.empty,
        plan_asks=step.plan is not None and bool(step.plan.asks),
        outputs_changed=step.outputs_changed,
        interrupted=failure is not None and failure.code == "apply_interrupted",
    )
    advance(tx, deploy, event)


def _note_outputs(tx: Write, deploy: DeployRow, step: StepRow, result: ApplyResult) -> None:
    outputs = (result.outputs, sorted(result.sensitive_outputs))
    installed = tx.get(InstalledComponentRow, (deploy.install_id, step.component))
    step.outputs_changed = result.outputs_changed
    if installed and step.kind == "apply":
        # An agent that was stopped before it could report compares with what it stored, not with what is known here.
        step.outputs_changed |= (installed.outputs, installed.sensitive_outputs) != outputs
        installed.outputs, installed.sensitive_outputs = outputs
        health.note(tx, deploy, step.component, result.health)


def reported_late(tx: Write, job: JobRow, outcome: str, result: JobResult | None, failure: Failure | None) -> None:
    """A step's job is over that had been given up, with its agent: note what it brought.

    A deploy that is still under way goes on with it; one that has ended stays what it is. What was begun since, by a retry or
    by a later deploy, is newer, and stays.
    """
    step = tx.get(StepRow, job.step_id) if job.step_id else None
    if step is None:
        raise LookupError(f"job {job.id} belongs to no step")
    deploy = find(tx, step.deploy_id)
    if step.job_id != job.id or step.phase != "failed" or _done_to_since(tx, deploy, step):
        return
    step.failure = failure
    if isinstance(result, ApplyResult):
        _note_outputs(tx, deploy, step, result)
    if deploy.ended_at is None:
        event = engine.ReportedLate(step.id, outcome, outputs_changed=step.outputs_changed)  # type: ignore[arg-type]
        advance(tx, deploy, event)
        return
    _set_phase(tx, deploy, step, engine.SetPhase(step.id, outcome))  # type: ignore[arg-type]
    if deploy.failure is not None and deploy.failure.code == AGENT_LOST:
        said = f"was given up while its agent {job.agent_id} was away; the agent has reported since that it {outcome}"
        remedy = "Deploy again: it goes on with what was not run."
        message = f"the {step.kind} of {step.component} {said}"
        deploy.failure = Failure(code=AGENT_LOST, message=message, remedy=remedy)
    moved(tx, deploy)


def _done_to_since(tx: Read, deploy: DeployRow, step: StepRow) -> bool:
    """Whether a later deploy has changed the component of a step, or has found that there is nothing to change."""
    later = (
        select(StepRow.id)
        .join(DeployRow, col(DeployRow.id) == col(StepRow.deploy_id))
        .where(
            DeployRow.install_id == deploy.install_id,
            DeployRow.kind != "drift",
            col(DeployRow.created_at) > deploy.created_at,
            StepRow.component == step.component,
            col(StepRow.kind).in_(("apply", "destroy")),
            col(StepRow.phase).not_in(("waiting", "cancelled")),
        )
    )
    return tx.first(later.limit(1)) is not None


def cancel(tx: Write, deploy: str, *, force: bool = False) -> DeployRow:
    """Stop a deploy: what waits is not run, what runs is asked to end as soon as it is safe.

    With `force`, what runs is told to end now: an engine that is cut off in an apply may leave things that no state knows.
    """
    row = find(tx, deploy)
    if row.ended_at is not None:
        raise ConflictError(f"deploy {row.id} has ended already: {row.status}")
    if row.status == "pending":
        _end(tx, row, "cancelled", None)
        moved(tx, row)
    elif row.status != "cancelling":
        tx.emit("deploy.cancel_requested", row.id, app_id=row.app_id, install_id=row.install_id)
        advance(tx, row, engine.CancelRequested())
        if row.ended_at is None:
            row.status = "cancelling"
        _end_queued(tx, row)
    if force and row.ended_at is None:
        for step in steps_of(tx, row.id):
            job = tx.get(JobRow, step.job_id) if step.phase == "active" and step.job_id else None
            if job and job.cancel != "force":
                queue.request_cancel(tx, job, "force")
    return row


def _end_queued(tx: Write, deploy: DeployRow) -> None:
    """Jobs that no agent has yet can be cancelled on the spot."""
    for step in steps_of(tx, deploy.id):
        job = tx.get(JobRow, step.job_id) if step.phase == "active" and step.job_id else None
        if job and job.state == "queued":
            queue.close(tx, job, "cancelled", None)
            step_ended(tx, job, "cancelled", None, None)
