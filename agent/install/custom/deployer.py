"""Plan, apply and destroy a component of a kind of the vendor's own: its plugin says what, and does it, in the sandbox.

The plugin's state lies in the workspace, `state/custom.json`. The saved plan has all that an apply takes: what the plugin
planned, the environment with its references filled in, and the digest of the state that it was made from (`saved-plan`).
"""

import hashlib
import json
from pathlib import Path

from agent.cancellation import unless_cancelled
from agent.durable import write_durably
from agent.install.custom.program import Program, fetched
from agent.install.deployer import Planned, Task
from agent.install.failures import DestroyIncompleteError, PlanStaleError
from agent.install.variables import UnresolvedReferenceError
from agent.install.workspace import StoredOutput, StoredOutputs
from agent.oci.manifest import canonical_json
from agent.plugin.protocol import Answer, Change, Operation, Request, good
from agent.policy.planned import Action, PlannedObject, PlannedObjects, whole
from api.contract.base import Json, Model
from api.contract.components import CustomConfig
from api.contract.references import InvalidReferenceError
from api.contract.resources import PlannedChange, PlanSummary

_PLAN_SECONDS = 900.0
_APPLY_SECONDS = 6 * 3600.0


class CustomPlan(Model):
    """The saved plan. `state` is the digest of the state that the plugin was shown. `plan` is the plugin's own words."""

    destroy: bool
    environment: dict[str, str]
    state: str
    plan: Json = None


class CustomDeployer:
    """Deploys custom components. See `agent.install.deployer.Deployer`."""

    def recover(self, task: Task) -> None:
        """Nothing is left behind: the state is replaced at once, and an apply can be repeated."""

    def deployed(self, task: Task) -> bool:
        """Whether the plugin has a state."""
        return _state(task) is not None

    async def plan(self, task: Task) -> Planned:
        """Ask the plugin what it would do."""
        environment = _environment(task)
        state = _state(task)
        program = await unless_cancelled(fetched(task), task.context.cancellation)
        answer = Answer(changes=[Change(address=task.job.component, actions=["delete"])])
        if not task.destroys:
            if (sandbox := program.sandbox(task)) is not None:
                await sandbox.check()
            asking = _ask(task, program, "plan", environment, _PLAN_SECONDS, state=state)
            answer = await unless_cancelled(asking, task.context.cancellation)
        saved = CustomPlan(destroy=task.destroys, environment=environment, state=_digest(state), plan=answer.plan)
        task.saved.file.write_bytes(canonical_json(saved.model_dump(mode="json")))
        return Planned(_summary(answer.changes), objects=_objects(task, answer.changes, known=state is not None))

    async def apply(self, task: Task) -> StoredOutputs:
        """Have the plugin carry out its plan, unless it came to its end before, and keep its state."""
        done = _done(task)
        if done.exists():
            task.context.log(f"{task.job.component}: the plan was applied before the agent was stopped")
            return StoredOutputs.model_validate_json(done.read_bytes())
        answer = await _carry_out(task, "apply")
        if answer.state is None:
            task.context.log("the plugin keeps no state: a destroy will have nothing to go by")
        sensitive = set(answer.sensitive)
        outputs = StoredOutputs(
            outputs={name: StoredOutput(value=value, sensitive=name in sensitive) for name, value in answer.outputs.items()}
        )
        _keep(task, answer.state)
        write_durably(done, outputs.model_dump_json().encode())
        return outputs

    async def destroy(self, task: Task) -> None:
        """Have the plugin remove what its state says is there."""
        if not self.deployed(task):  # an attempt before this one came to its end
            return
        answer = await _carry_out(task, "destroy")
        _keep(task, answer.state)
        if answer.state is not None:
            raise DestroyIncompleteError(f"the plugin of {task.job.component} still has a state after the destroy")


async def _carry_out(task: Task, operation: Operation) -> Answer:
    """Ask for what the saved plan says. A state that has moved since is refused."""
    plan = CustomPlan.model_validate_json(task.saved.file.read_bytes())
    state = _state(task)
    if _digest(state) != plan.state:
        raise PlanStaleError(f"the state of {task.job.component} has moved since the plan was made")
    program = await unless_cancelled(fetched(task), task.context.cancellation)
    asking = _ask(task, program, operation, plan.environment, _APPLY_SECONDS, state=state, plan=plan.plan)
    # A plugin can't be asked to stop halfway: only a stop by force ends it.
    return await unless_cancelled(asking, task.context.cancellation, "force")


async def _ask(
    task: Task,
    program: Program,
    operation: Operation,
    environment: dict[str, str],
    seconds: float,
    *,
    state: Json,
    plan: Json = None,
) -> Answer:
    request = Request(
        operation=operation,
        component=task.job.component,
        environment=environment,
        images=dict(program.images),
        state=state,
        plan=plan,
    )
    answer = await program.plugin(task, seconds).ask(request)
    return good(answer, f"the plugin's {operation}", "config.command")


def _environment(task: Task) -> dict[str, str]:
    """The component's environment with its references filled in, strictly. Raises UnresolvedReferenceError."""
    config, scope = task.job.config, task.scope
    if not isinstance(config, CustomConfig):
        raise TypeError(f"{config.kind} is no custom component")
    environment = {}
    for name, text in config.environment.items():
        try:
            value = scope.render(text)
        except InvalidReferenceError as error:
            field = f"config.environment.{name}"
            raise UnresolvedReferenceError(f"variable {name!r}: {error}", remedy=error.remedy, field=field) from None
        environment[name] = value if isinstance(value, str) else json.dumps(value)
    return environment


def _summary(changes: list[Change]) -> PlanSummary:
    actions = [set(change.actions) for change in changes]
    return PlanSummary(
        add=sum("create" in each for each in actions),
        change=sum(each == {"update"} for each in actions),
        destroy=sum("delete" in each for each in actions),
        resources=[PlannedChange(address=change.address, actions=list(change.actions)) for change in changes],
        outputs_change=bool(changes),
    )


def _objects(task: Task, changes: list[Change], *, known: bool) -> PlannedObjects:
    """What the plugin says that it would do; and the component as a whole, as nobody knows what else it does."""
    if not changes:
        return PlannedObjects()
    action: Action = "delete" if task.destroys else "update" if known else "create"
    own = whole(task.job.component, "custom", action).objects
    said = (PlannedObject(address=each.address, type="custom", action=_action(each)) for each in changes)
    return PlannedObjects(objects=(*own, *said))


def _action(change: Change) -> Action:
    match set(change.actions):
        case actions if {"create", "delete"} <= actions:
            return "replace"
        case actions if "delete" in actions:
            return "delete"
        case actions if "create" in actions:
            return "create"
    return "update"


def _state_file(task: Task) -> Path:
    return task.workspace.root / "state" / "custom.json"


def _state(task: Task) -> Json:
    try:
        return json.loads(_state_file(task).read_bytes())
    except FileNotFoundError:
        return None


def _keep(task: Task, state: Json) -> None:
    write_durably(_state_file(task), json.dumps(state).encode())


def _digest(state: Json) -> str:
    return hashlib.sha256(canonical_json(state)).hexdigest()


def _done(task: Task) -> Path:
    """The outputs of an apply that came to its end."""
    return task.saved.folder / "applied.json"
