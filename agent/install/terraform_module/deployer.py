"""Plan, apply and destroy one Terraform module: the engine's own saved plan is what is applied."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path

from agent.cancellation import Cancellation
from agent.engine.events import ChangeSummary, EngineEvent, ResourceEvent, parse
from agent.engine.failures import failure_of, plan_is_stale
from agent.engine.run import Command, Ended, capture, run
from agent.failure import CodedError, JobFailedError
from agent.install.deployer import Planned, Task
from agent.install.failures import ApplyInterruptedError, DestroyIncompleteError, PlanStaleError
from agent.install.terraform_module.checks import checks_of_plan, checks_of_state
from agent.install.terraform_module.module import Module, prepare, prepared
from agent.install.terraform_module.own_backend import OwnBackend, in_own_backend
from agent.install.terraform_module.plan_summary import secrets, summarize
from agent.install.terraform_module.working_copy import WorkingCopy, checked_out, may_have_resources
from agent.install.variables import render_environment, render_variables
from agent.install.workspace import StoredOutput, StoredOutputs
from agent.policy.planned import from_terraform
from agent.state.statefile import has_resources
from agent.state.states import States
from api.contract.components import TerraformModuleConfig

_READ_SECONDS = 300
_PLAN_SECONDS = 3600
_APPLY_SECONDS = 6 * 3600
_ENDS = ("apply_complete", "apply_errored", "provision_complete", "provision_errored")


class VarFileMissingError(CodedError):
    """The config names a file of variables that isn't in the source."""

    code = "var_file_missing"
    remedy = "Correct the path in `var_files`, or add the file to the source."


class TerraformDeployer:
    """Deploys Terraform modules. See `agent.install.deployer.Deployer`."""

    def recover(self, task: Task) -> None:
        """Nothing here: what a killed engine left is stored where its state is checked out (see `working_copy`)."""

    def deployed(self, task: Task) -> bool:
        """Whether the state may know of any object. Of a backend of the customer's, only its engine can tell."""
        return task.site.backend is not None or may_have_resources(task.workspace, _states(task), task.job.component)

    async def plan(self, task: Task) -> Planned:
        """Save the engine's plan."""
        async with _state(task) as state:
            return await self._plan(task, state)

    async def _plan(self, task: Task, state: WorkingCopy | OwnBackend) -> Planned:
        job, context, saved, config = task.job, task.context, task.saved, _config(task)
        environment = render_environment(config.environment, task.scope)
        saved.environment.write_text(json.dumps(environment))
        module = (await prepare(job, context, task.site, task.workspace, task.lock)).within(environment)
        await state.ready(module)
        saved.variables.write_text(json.dumps(render_variables(config.variables, module.config.variables, task.scope)))
        files = [*_var_files(config, module.folder), saved.variables]
        arguments = [
            "plan",
            "-json",
            "-input=false",
            "-no-color",
            f"-out={saved.file}",
            *(f"-var-file={file}" for file in files),
            *(f"-target={address}" for address in (job.replan.targets if job.replan else ())),
            *(f"-replace={address}" for address in (job.replan.replace if job.replan else ())),
        ]
        ended = await _run(
            state,
            module.command(task.lock, *arguments, *_parallelism(config), *(["-destroy"] if task.destroys else [])),
            saved.said("plan"),
            lambda event: context.log(event.text),
            context.cancellation,
            timeout=_seconds(config, _PLAN_SECONDS),
        )
        context.cancellation.check()
        if not ended.succeeded:
            raise JobFailedError(failure_of("plan", ended))
        shown, printed = await capture(module.command(task.lock, "show", "-json", str(saved.file)), timeout=_READ_SECONDS)
        if not shown.succeeded:
            raise JobFailedError(failure_of("plan", shown))
        document = json.loads(printed)
        task.checks.extend(checks_of_plan(document, context.redactor.text))
        known = task.site.components.outputs(job.component)
        values = task.site.policy.document.plan_values == "redacted"
        return Planned(summarize(document, outputs_known=known, values=values), [*secrets(document)], from_terraform(document))

    async def apply(self, task: Task) -> StoredOutputs:
        """Run the saved plan, unless it came to its end before, and read the outputs.

        One that was cut off is tried again with the same plan, which the engine refuses if anything was changed
        (`apply_interrupted`).
        """
        async with _state(task) as state:
            module = await _apply(task, state)
            outputs = await _outputs(task, module)
            task.checks.extend(checks_of_state(await state.current(module), task.context.redactor.text))
            return outputs

    async def destroy(self, task: Task) -> None:
        """Run the saved plan of the destruction."""
        async with _state(task) as state:
            if has_resources(await state.current(await _apply(task, state))):
                raise DestroyIncompleteError(f"objects of {task.job.component} are left in the state after the destroy")
            state.forget()


def _config(task: Task) -> TerraformModuleConfig:
    if not isinstance(task.job.config, TerraformModuleConfig):
        raise TypeError(f"{task.job.config.kind} is no Terraform module")
    return task.job.config


def _var_files(config: TerraformModuleConfig, folder: Path) -> list[Path]:
    files = [folder / name for name in config.var_files]
    for name, file in zip(config.var_files, files, strict=True):
        if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
            raise VarFileMissingError(f"the bundle has no file {name!r}", field="config.var_files")
    return files


def _parallelism(config: TerraformModuleConfig) -> list[str]:
    return [] if config.parallelism is None else [f"-parallelism={config.parallelism}"]


def _seconds(config: TerraformModuleConfig, usual: int) -> int:
    return usual if config.timeout is None else config.timeout


def _states(task: Task) -> States:
    assert task.site.states, "an install agent has a place for states"
    return task.site.states


def _state(task: Task) -> AbstractAsyncContextManager[WorkingCopy | OwnBackend]:
    return in_own_backend(task) if task.site.backend is not None else checked_out(task, _states(task))


async def _apply(task: Task, state: WorkingCopy | OwnBackend) -> Module:
    job, context, saved, config = task.job, task.context, task.saved, _config(task)
    module = await prepared(job, context, task.site, task.workspace, task.lock)
    if saved.environment.is_file():  # a plan of an older agent has none
        module = module.within(json.loads(saved.environment.read_bytes()))
    await state.ready(module)
    said = saved.said("apply")
    begun_before = said.exists()
    if begun_before and any(_is_end_of_apply(parse(line)) for line in said.read_text(errors="replace").splitlines()):
        context.log(f"{job.component}: the plan was applied before the agent was stopped")
        return module
    state.check_room()

    def follow(event: EngineEvent) -> None:
        context.log(event.text)
        if isinstance(event, ResourceEvent) and event.type in _ENDS:
            state.changed()

    ended = await _run(
        state,
        module.command(task.lock, "apply", "-json", "-input=false", "-no-color", *_parallelism(config), str(saved.file)),
        said,
        follow,
        context.cancellation,
        timeout=_seconds(config, _APPLY_SECONDS),
    )
    if not ended.succeeded:
        context.cancellation.check()
        raise _failure(task, ended, begun_before)
    return module


async def _run(
    state: WorkingCopy | OwnBackend,
    command: Command,
    said: Path,
    on_event: Callable[[EngineEvent], None],
    cancellation: Cancellation,
    *,
    timeout: float,
) -> Ended:
    """As `run`; once more if only the lock of an engine that was killed stood in the way."""
    ended = await run(command, said, on_event, cancellation, timeout=timeout)
    state.ended(ended)
    if not ended.succeeded and await state.unlocked(ended):
        ended = await run(command, said, on_event, cancellation, timeout=timeout)
        state.ended(ended)
    return ended


def _is_end_of_apply(event: EngineEvent) -> bool:
    return isinstance(event, ChangeSummary) and event.operation in ("apply", "destroy")


def _failure(task: Task, ended: Ended, begun_before: bool) -> JobFailedError:
    job = task.job
    if not plan_is_stale(ended):
        return JobFailedError(failure_of("destroy" if job.kind == "destroy" else "apply", ended))
    if begun_before:
        return ApplyInterruptedError(f"the {job.kind} of {job.component} was cut off after it had changed something")
    return PlanStaleError(f"the state of {job.component} has moved since the plan was made")


async def _outputs(task: Task, module: Module) -> StoredOutputs:
    ended, printed = await capture(module.command(task.lock, "output", "-json", "-no-color"), timeout=_READ_SECONDS)
    if not ended.succeeded:
        raise JobFailedError(failure_of("apply", ended))
    return StoredOutputs(
        outputs={
            name: StoredOutput(value=output["value"], sensitive=output["sensitive"])
            for name, output in json.loads(printed, parse_float=_exact).items()
        }
    )


def _exact(text: str) -> float | str:
    """A fraction as the engine has written it: one that a float would round stays the text that it is."""
    value = float(text)
    return value if Decimal(repr(value)) == Decimal(text) else text
