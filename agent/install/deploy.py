"""Plan, apply and destroy one component in the customer's account: what is the same for all kinds.

`saved-plan`: an apply runs the plan that an earlier job saved, byte for byte, and nothing else. `sole-writer`: each function
holds the workspace's lock as long as any program that it started lives.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from agent.cancellation import unless_cancelled
from agent.engine.lock import WorkspaceBusyError, workspace_lock
from agent.failure import CodedError
from agent.install.component_health import look
from agent.install.deployer import Deployer, Task
from agent.install.deployers import deployer_of
from agent.install.failures import PlanChangedError, PlanMissingError
from agent.install.inputs import resolve_inputs
from agent.install.released import begun, check_released, check_still
from agent.install.sealed import learn_secrets
from agent.install.site import Site
from agent.install.trusted import check_signed
from agent.install.workspace import PlannedRelease, PlanRecord, SavedPlan, StoredOutputs, Workspace
from agent.job import JobContext
from agent.ledger.entry import Event
from agent.policy.planned import PlannedObjects, PlanUnreadableError
from agent.policy.refusal import in_words
from agent.policy.rules import Finding, Subject
from api.contract.agents import ApplyResult, DeployJob, PlanResult
from api.contract.base import Json
from api.contract.resources import PlanSummary

_LOCK_SECONDS = 600
_NO_PLAN_DIGEST = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The digest of an empty file: there was nothing to plan."""


class BusyError(CodedError):
    """A program of an earlier run is still at work on the component."""

    code = "workspace_busy"
    retryable = True
    remedy = "Wait until it ends, or end it on the agent's machine; then try again."


class KindNotSupportedError(CodedError):
    """A component of a kind that this agent doesn't run."""

    code = "not_supported"


async def plan(job: DeployJob, context: JobContext, site: Site) -> PlanResult:
    """Save a plan under the job's id, and say what it would do. Raises JobFailedError or JobCancelledError."""
    deployer, workspace = _begin(job, context, site)
    async with _locked(workspace, context) as lock:
        task = Task(job, context, site, workspace, workspace.plan(context.job_id), lock)
        deployer.recover(task)
        saved = workspace.begin_plan(context.job_id)
        if task.destroys and not deployer.deployed(task):
            saved.save(PlanRecord(bundle=job.digest, destroy=True, plan_digest=None, summary=PlanSummary()))
            return PlanResult(summary=PlanSummary(), plan_digest=_NO_PLAN_DIGEST)
        await unless_cancelled(check_signed(job, context, site), context.cancellation)
        release = await unless_cancelled(check_released(job, context, site), context.cancellation)
        resolved = await unless_cancelled(resolve_inputs(job, context, site), context.cancellation)
        planning = Task(job, context, site, workspace, saved, lock, resolved)
        planned = await deployer.plan(planning)
        # Also what only this plan was given: its apply runs without it, and must not show it either.
        found = [*planned.secrets, *resolved.values(), *planning.derived]
        context.redactor.learn(found)
        saved.secrets.write_text(json.dumps(found))
        judge = _looked_at if job.look_at_health else _judged
        findings = await asyncio.to_thread(judge, task, planned.objects)
        asking = [each for each in findings if each.effect == "ask"]
        for each in asking:
            context.log(f"the customer's policy asks for their own yes to this plan: rule {each.rule!r}")
        refusing = [in_words(each) for each in findings if each.effect == "refuse"]
        summary = planned.summary.model_copy(update={"asks": _asks(planned.summary, asking, site), "refused": refusing})
        if planned.objects is not None:
            saved.objects.write_text(planned.objects.model_dump_json())
        health = await look(planning) if _to_look_at(planning, summary) else None
        result = PlanResult(summary=summary, plan_digest=saved.digest(), health=health)
        said = context.redactor.result(result)
        kept = said.summary if isinstance(said, PlanResult) else summary
        await _write_down(
            task,
            "plan.saved",
            plan_digest=result.plan_digest,
            add=kept.add,
            change=kept.change,
            destroy=kept.destroy,
            asking=[each.rule for each in asking],
            **_named(release),
        )
        saved.save(
            PlanRecord(
                bundle=job.digest,
                destroy=task.destroys,
                plan_digest=result.plan_digest,
                summary=kept,
                config=job.config,
                repository=job.repository,
                asking=tuple(each.rule for each in asking),
                release=release,
            )
        )
        return result


async def apply(job: DeployJob, context: JobContext, site: Site) -> ApplyResult:
    """Apply the plan that `plan_job_id` saved, and read the outputs; or destroy by it, and remove what was kept.

    May be called again after a crash at any point. Raises JobFailedError or JobCancelledError.
    """
    deployer, workspace = _begin(job, context, site)
    if job.kind == "destroy" and not workspace.root.exists():
        return ApplyResult(outputs_changed=False)
    async with _locked(workspace, context) as lock:
        task = Task(job, context, site, workspace, workspace.plan(job.plan_job_id or "none"), lock)
        deployer.recover(task)
        record = _approved(job, task.saved)
        task = replace(task, job=_as_planned(job, record))
        if record.plan_digest is not None:
            await asyncio.to_thread(check_still, task.job, record.release, site)
        asking = await asyncio.to_thread(_judged, task, _objects(task.saved)) if record.plan_digest else []
        approved_by = site.approvals.check(job, record, record.plan_digest or _NO_PLAN_DIGEST, asking)
        await _write_down(
            task,
            "plan.begun",
            plan_job=job.plan_job_id,
            plan_digest=record.plan_digest,
            approved_by=approved_by,
            **_named(record.release),
        )
        await asyncio.to_thread(begun, task.job, record.release, site)
        if record.plan_digest is not None:
            context.redactor.learn(json.loads(task.saved.secrets.read_bytes()))
        if job.kind == "apply":
            result = _applied(workspace, context, await deployer.apply(task))
            return result.model_copy(update={"health": await look(task)})
        if record.plan_digest is not None:
            await deployer.destroy(task)
        had_outputs = bool(workspace.outputs())
        workspace.remove()
        return ApplyResult(outputs_changed=had_outputs)


def _to_look_at(task: Task, summary: PlanSummary) -> bool:
    """Whether what is there now, of which a plan was made, is what its health shall be told of."""
    stays = summary.empty or task.job.look_at_health
    return stays and not task.destroys and task.workspace.outputs() is not None


def _judged(task: Task, objects: PlannedObjects | None) -> list[Finding]:
    """The rules of the customer's that ask for their yes to the plan. Blocks. Raises JobFailedError if one refuses it."""
    job, policy = task.job, task.site.policy
    subject = Subject("destroy" if task.destroys else "apply", job.component, job.config.kind)
    if objects is not None:
        return policy.judge(subject, objects.objects)
    if policy.concerns(subject):
        raise PlanUnreadableError(
            f"the customer's policy has rules about {job.component}, but the agent can't say what its plan does to what",
            remedy="Ask the customer to leave the component out of the rules' `components`, or out of what the agent runs.",
        )
    return []


def _looked_at(task: Task, objects: PlannedObjects | None) -> list[Finding]:
    """All rules that hold of a drift run's plan, which nobody applies: what they would refuse is found, not refused. Blocks."""
    if objects is None:
        return []
    subject = Subject("apply", task.job.component, task.job.config.kind)
    return task.site.policy.findings(subject, objects.objects)


def _asks(summary: PlanSummary, asking: list[Finding], site: Site) -> list[str]:
    """Why the customer's own yes is needed, in words: the same as `Approvals.check` will ask for."""
    if summary.empty:
        return []
    every = ["the agent was started with `--approval customer`"] if site.approvals.mode == "customer" else []
    return every + [in_words(each) for each in asking]


def _objects(saved: SavedPlan) -> PlannedObjects | None:
    try:
        return PlannedObjects.model_validate_json(saved.objects.read_bytes())
    except FileNotFoundError:
        return None


async def _write_down(task: Task, event: Event, **data: Json) -> None:
    """Add to the ledger what the job is about to make true. Raises LedgerUnwritableError: then it isn't done."""
    job = task.job
    said = {"job": task.context.job_id, "component": job.component, "digest": job.digest, **data}
    await asyncio.to_thread(task.site.ledger.append, event, **said)


def _named(release: PlannedRelease | None) -> dict[str, Json]:
    """How the ledger names a signed release."""
    return {"release": release.number, "document": release.document} if release else {}


def _applied(workspace: Workspace, context: JobContext, outputs: StoredOutputs) -> ApplyResult:
    """Keep the outputs, and say those that may be said."""
    before = workspace.outputs()
    workspace.store_outputs(outputs)
    for output in outputs.outputs.values():
        if output.sensitive:
            context.redactor.learn(output.value)
    return ApplyResult(
        outputs={name: output.value for name, output in outputs.outputs.items() if not output.sensitive},
        sensitive_outputs=sorted(name for name, output in outputs.outputs.items() if output.sensitive),
        outputs_changed=before != outputs,
    )


@asynccontextmanager
async def _locked(workspace: Workspace, context: JobContext) -> AsyncIterator[int]:
    """Hold the workspace's lock (`sole-writer`). Raises BusyError, or JobCancelledError while it waits."""
    told = False

    def waiting() -> None:
        nonlocal told
        context.cancellation.check()
        if not told:
            context.log("an engine of an earlier run is still at work here; waiting until it ends")
            told = True

    async with AsyncExitStack() as stack:
        try:
            lock = await stack.enter_async_context(workspace_lock(workspace.lock, limit=_LOCK_SECONDS, waiting=waiting))
        except WorkspaceBusyError as error:
            raise BusyError(str(error)) from None
        yield lock


def _approved(job: DeployJob, saved: SavedPlan) -> PlanRecord:
    """What the saved plan of the job was made of, if it is what was approved (`saved-plan`)."""
    if job.plan_job_id is None:
        raise PlanMissingError(f"the job names no plan for {job.component}")
    record = saved.record()
    if record is None or (record.plan_digest is not None and not saved.file.is_file()):
        raise PlanMissingError(f"the plan of job {job.plan_job_id} for {job.component} isn't on this machine")
    if record.destroy != (job.kind == "destroy") or record.bundle != job.digest:
        raise PlanChangedError(f"the plan of job {job.plan_job_id} is not for this {job.kind} of {job.component}")
    if record.plan_digest is not None and saved.digest() != record.plan_digest:
        raise PlanChangedError(f"the plan file of job {job.plan_job_id} for {job.component} was changed after it was saved")
    if job.plan_digest is not None and job.plan_digest != (record.plan_digest or _NO_PLAN_DIGEST):
        raise PlanChangedError(f"the plan of job {job.plan_job_id} for {job.component} is not the one that the IMS knows")
    return record


def _as_planned(job: DeployJob, record: PlanRecord) -> DeployJob:
    """The job with the config and the repository that its plan was made with and that were checked then (`config-signed`)."""
    if record.config is None or record.repository is None:
        return job
    return job.model_copy(update={"config": record.config, "repository": record.repository})


def _begin(job: DeployJob, context: JobContext, site: Site) -> tuple[Deployer, Workspace]:
    """Learn the install's secrets before anything is said, and find who deploys this kind, and where."""
    learn_secrets(job.sensitive_inputs, job.secrets, context)
    for value in site.components.secrets():
        context.redactor.learn(value)
    deployer = deployer_of(job.config.kind)
    if deployer is None:
        raise KindNotSupportedError(f"this agent can't run components of kind {job.config.kind}")
    return deployer, site.components.of(job.component)
