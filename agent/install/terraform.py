"""Plan, apply and destroy one component in the customer's account.

`saved-plan`: an apply runs the plan that an earlier job saved, byte for byte, and nothing else. `sole-writer`: each function
holds the workspace's lock as long as any engine that it started lives.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from agent.cancellation import unless_cancelled
from agent.engine.events import ChangeSummary, EngineEvent, parse
from agent.engine.failures import failure_of, plan_is_stale
from agent.engine.lock import WorkspaceBusyError, workspace_lock
from agent.engine.run import Ended, capture, run
from agent.failure import CodedError, JobFailedError
from agent.install import errored_state
from agent.install.inputs import resolve_inputs
from agent.install.module import Module, prepare, prepared
from agent.install.plan_summary import secrets, summarize
from agent.install.sealed import learn_secrets
from agent.install.site import Site
from agent.install.variables import Scope, render_variables
from agent.install.workspace import PlanRecord, SavedPlan, StoredOutput, StoredOutputs, Workspace
from agent.job import JobContext
from api.contract.agents import ApplyResult, PlanResult, TerraformJob
from api.contract.base import Json
from api.contract.components import TerraformModuleConfig
from api.contract.resources import PlanSummary

_LOCK_SECONDS = 600
_READ_SECONDS = 300
_PLAN_SECONDS = 3600
_APPLY_SECONDS = 6 * 3600
_NO_PLAN_DIGEST = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The digest of an empty file: there was nothing to plan."""


class BusyError(CodedError):
    """An engine of an earlier run is still at work on the component."""

    code = "workspace_busy"
    retryable = True
    remedy = "Wait until it ends, or end it on the agent's machine; then try again."


class KindNotSupportedError(CodedError):
    """A component of a kind that this agent doesn't run."""

    code = "not_supported"


class PlanMissingError(CodedError):
    """The plan that was approved isn't here any more."""

    code = "plan_missing"
    retryable = True
    remedy = "Deploy again: a new plan is needed."


class PlanChangedError(CodedError):
    """`saved-plan`: the file isn't the plan that was approved."""

    code = "plan_changed"
    retryable = True
    remedy = "Find out who changed the agent's files; then deploy again, with a new plan."


class PlanStaleError(CodedError):
    """The state has moved since the plan was made."""

    code = "plan_stale"
    retryable = True
    remedy = "Deploy again: a new plan is needed."


class DestroyIncompleteError(CodedError):
    """The engine says that the destroy succeeded, but the state isn't empty; removing it would lose what it knows."""

    code = "destroy_incomplete"
    remedy = "Remove the objects, or take them out of the state, on the agent's machine; then destroy again."


class ApplyInterruptedError(CodedError):
    """The apply of this plan was cut off after it had changed something."""

    code = "apply_interrupted"
    retryable = True
    remedy = "Deploy again: what was made so far is in the state, and a new plan goes on from there."


async def plan(job: TerraformJob, context: JobContext, site: Site) -> PlanResult:
    """Save a plan under the job's id, and say what it would do. Raises JobFailedError or JobCancelledError."""
    config, workspace = _begin(job, context, site)
    async with _locked(workspace, context) as lock:
        _recover_state(workspace, context)
        saved = workspace.begin_plan(context.job_id)
        if job.kind == "plan_destroy" and not errored_state.has_resources(workspace.state):
            saved.save(PlanRecord(bundle=job.digest, destroy=True, plan_digest=None, summary=PlanSummary()))
            return PlanResult(summary=PlanSummary(), plan_digest=_NO_PLAN_DIGEST)
        resolved = await unless_cancelled(resolve_inputs(job, config, context, site), context.cancellation)
        module = await prepare(job, context, site, workspace, lock)
        return await _plan(job, config, resolved, context, site, saved, module, lock)


async def _plan(
    job: TerraformJob,
    config: TerraformModuleConfig,
    resolved: dict[str, Json],
    context: JobContext,
    site: Site,
    saved: SavedPlan,
    module: Module,
    lock: int,
) -> PlanResult:
    scope = Scope(
        install_id=job.install_id,
        install_name=job.install_name,
        install_platform=job.install_platform,
        install_region=job.install_region,
        inputs={**job.inputs, **job.sensitive_inputs, **resolved},
        secrets=job.secrets,
        outputs=site.components.outputs,
        digests=job.digests,
    )
    saved.variables.write_text(json.dumps(render_variables(config.variables, module.config.variables, scope)))
    arguments = ["plan", "-json", "-input=false", "-no-color", f"-out={saved.file}", f"-var-file={saved.variables}"]
    destroy = job.kind == "plan_destroy"
    ended = await run(
        module.command(lock, *arguments, *(["-destroy"] if destroy else [])),
        saved.said("plan"),
        lambda event: context.log(event.text),
        context.cancellation,
        timeout=_PLAN_SECONDS,
    )
    context.cancellation.check()
    if not ended.succeeded:
        raise JobFailedError(failure_of("plan", ended))
    shown, printed = await capture(module.command(lock, "show", "-json", str(saved.file)), timeout=_READ_SECONDS)
    if not shown.succeeded:
        raise JobFailedError(failure_of("plan", shown))
    document = json.loads(printed)
    # Also what only this plan was given: its apply runs without it, and must not show it either.
    found = [*secrets(document), *resolved.values()]
    context.redactor.learn(found)
    saved.secrets.write_text(json.dumps(found))
    summary = summarize(document, outputs_known=site.components.outputs(job.component))
    result = PlanResult(summary=summary, plan_digest=saved.digest())
    said = context.redactor.result(result)
    kept = said.summary if isinstance(said, PlanResult) else summary
    saved.save(PlanRecord(bundle=job.digest, destroy=destroy, plan_digest=result.plan_digest, summary=kept))
    return result


async def apply(job: TerraformJob, context: JobContext, site: Site) -> ApplyResult:
    """Apply the plan that `plan_job_id` saved, and read the outputs; or destroy by it, and remove what was kept.

    May be called again after a crash at any point: an apply that had come to its end isn't run again, and one that was cut off
    is tried again with the same plan, which the engine refuses if anything was changed (`apply_interrupted`). Raises
    JobFailedError or JobCancelledError.
    """
    _, workspace = _begin(job, context, site)
    if job.kind == "destroy" and not workspace.root.exists():
        return ApplyResult(outputs_changed=False)
    async with _locked(workspace, context) as lock:
        _recover_state(workspace, context)
        saved, record = _approved(job, workspace)
        site.approvals.check(job, record, record.plan_digest or _NO_PLAN_DIGEST)
        if record.plan_digest is not None:
            module = await prepared(job, context, site, workspace, lock)
            await _apply(job, context, workspace, saved, module, lock)
            if job.kind == "apply":
                return await _outputs(workspace, module, context, lock)
        if errored_state.has_resources(workspace.state):
            raise DestroyIncompleteError(f"objects of {job.component} are left in the state after the destroy")
        had_outputs = bool(workspace.outputs())
        workspace.remove()
        return ApplyResult(outputs_changed=had_outputs)


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


def _approved(job: TerraformJob, workspace: Workspace) -> tuple[SavedPlan, PlanRecord]:
    """The saved plan of the job, if it is what was approved (`saved-plan`)."""
    if job.plan_job_id is None:
        raise PlanMissingError(f"the job names no plan for {job.component}")
    saved = workspace.plan(job.plan_job_id)
    record = saved.record()
    if record is None or (record.plan_digest is not None and not saved.file.is_file()):
        raise PlanMissingError(f"the plan of job {job.plan_job_id} for {job.component} isn't on this machine")
    if record.destroy != (job.kind == "destroy") or record.bundle != job.digest:
        raise PlanChangedError(f"the plan of job {job.plan_job_id} is not for this {job.kind} of {job.component}")
    if record.plan_digest is not None and saved.digest() != record.plan_digest:
        raise PlanChangedError(f"the plan file of job {job.plan_job_id} for {job.component} was changed after it was saved")
    if job.plan_digest is not None and job.plan_digest != (record.plan_digest or _NO_PLAN_DIGEST):
        raise PlanChangedError(f"the plan of job {job.plan_job_id} for {job.component} is not the one that the IMS knows")
    return saved, record


async def _apply(
    job: TerraformJob, context: JobContext, workspace: Workspace, saved: SavedPlan, module: Module, lock: int
) -> None:
    context.redactor.learn(json.loads(saved.secrets.read_bytes()))
    said = saved.said("apply")
    begun_before = said.exists()
    if begun_before and any(_is_end_of_apply(parse(line)) for line in said.read_text(errors="replace").splitlines()):
        context.log(f"{job.component}: the plan was applied before the agent was stopped")
        return
    ended = await run(
        module.command(lock, "apply", "-json", "-input=false", "-no-color", str(saved.file)),
        said,
        lambda event: context.log(event.text),
        context.cancellation,
        timeout=_APPLY_SECONDS,
    )
    _recover_state(workspace, context)
    if not ended.succeeded:
        context.cancellation.check()
        raise _apply_failure(job, ended, begun_before)


def _is_end_of_apply(event: EngineEvent) -> bool:
    return isinstance(event, ChangeSummary) and event.operation in ("apply", "destroy")


def _apply_failure(job: TerraformJob, ended: Ended, begun_before: bool) -> JobFailedError:
    if not plan_is_stale(ended):
        return JobFailedError(failure_of("destroy" if job.kind == "destroy" else "apply", ended))
    if begun_before:
        return ApplyInterruptedError(f"the {job.kind} of {job.component} was cut off after it had changed something")
    return PlanStaleError(f"the state of {job.component} has moved since the plan was made")


async def _outputs(workspace: Workspace, module: Module, context: JobContext, lock: int) -> ApplyResult:
    ended, printed = await capture(module.command(lock, "output", "-json", "-no-color"), timeout=_READ_SECONDS)
    if not ended.succeeded:
        raise JobFailedError(failure_of("apply", ended))
    outputs = StoredOutputs(
        outputs={
            name: StoredOutput(value=output["value"], sensitive=output["sensitive"])
            for name, output in json.loads(printed).items()
        }
    )
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


def _begin(job: TerraformJob, context: JobContext, site: Site) -> tuple[TerraformModuleConfig, Workspace]:
    """Learn the install's secrets before anything is said, and find the workspace."""
    learn_secrets(job.sensitive_inputs, job.secrets, context)
    for value in site.components.secrets():
        context.redactor.learn(value)
    if not isinstance(job.config, TerraformModuleConfig):
        raise KindNotSupportedError(f"this agent can't run components of kind {job.config.kind}")
    return job.config, site.components.of(job.component)


def _recover_state(workspace: Workspace, context: JobContext) -> None:
    """Put state in place that an engine could not write, before anything else looks at it or wipes the folder."""
    done = errored_state.recover(workspace.work, workspace.state)
    if done:
        context.log(done)
