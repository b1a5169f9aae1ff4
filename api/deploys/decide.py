"""What a deploy does next: `decide(state, event) -> changes`. Pure: no database, no clock, no network."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from api.contract.resources import StepKind

StepPhase = Literal["waiting", "active", "succeeded", "failed", "cancelled", "skipped"]
"""`active` = has a job that isn't done, or waits for an approval.

`cancelled` = not run, or stopped, because of a cancel or of a failure before it.
"""

MAX_REPLANS = 2
_PLAN_OF: dict[StepKind, StepKind] = {"apply": "plan", "destroy": "plan_destroy"}
_PLANS: tuple[StepKind, ...] = ("plan", "plan_destroy")
_DONE = ("succeeded", "failed", "cancelled", "skipped")


class StepState(NamedTuple):
    """What counts about a step.

    `conditional` = runs only if the outputs of a component that it needs have changed. `plan_empty` = of a plan that leaves
    nothing to apply; `plan_harmless` = of one that changes nothing, though it may have to be applied for its outputs.
    `plan_asks` = of a plan for which rules of the customer's ask for their own yes; a `conditional` approval waits for that one
    alone. `running` = an agent has its job. `left_out` = somebody wants it not to be run.
    """

    id: str
    component: str
    kind: StepKind
    phase: StepPhase
    needs: tuple[str, ...]
    conditional: bool = False
    plan_empty: bool = False
    plan_harmless: bool = False
    plan_asks: bool = False
    outputs_changed: bool = False
    replans: int = 0
    running: bool = False
    left_out: bool = False


@dataclass(frozen=True)
class DeployState:
    """A deploy that hasn't ended."""

    steps: tuple[StepState, ...]
    cancelling: bool = False


@dataclass(frozen=True)
class Started:
    """The deploy was made."""


@dataclass(frozen=True)
class StepEnded:
    """A step's job has ended, or its approval was decided or has expired.

    `interrupted` = the agent was stopped while it applied, and the saved plan is stale now.
    """

    step_id: str
    outcome: Literal["succeeded", "failed", "cancelled"]
    plan_empty: bool = False
    plan_harmless: bool = False
    plan_asks: bool = False
    outputs_changed: bool = False
    interrupted: bool = False


@dataclass(frozen=True)
class ReportedLate:
    """A step that failed because its agent was given up for lost has ended after all, while others still run."""

    step_id: str
    outcome: Literal["succeeded", "failed", "cancelled"]
    outputs_changed: bool = False


@dataclass(frozen=True)
class CancelRequested:
    """Somebody wants the deploy to stop."""


@dataclass(frozen=True)
class RetryRequested:
    """A step that failed shall be tried again, while others still run. See `why_no_retry`."""

    step_id: str


@dataclass(frozen=True)
class SkipRequested:
    """The component of a step shall be left out, with all that needs it. See `why_no_skip`."""

    step_id: str


Event = Started | StepEnded | ReportedLate | CancelRequested | RetryRequested | SkipRequested


@dataclass(frozen=True)
class SetPhase:
    """A step is in another phase now; `because` names the component that held it up.

    `left_out` = it is skipped because somebody wants it so, not because there is nothing to do.
    """

    step_id: str
    phase: StepPhase
    because: str = ""
    left_out: bool = False


@dataclass(frozen=True)
class Enqueue:
    """Make a job for a step."""

    step_id: str


@dataclass(frozen=True)
class AskApproval:
    """Wait for a person's answer to the plan before this step."""

    step_id: str


@dataclass(frozen=True)
class Replan:
    """Count one more plan for a step whose apply was interrupted."""

    step_id: str


@dataclass(frozen=True)
class CancelJob:
    """Ask for a step's job to stop."""

    step_id: str


@dataclass(frozen=True)
class DropJob:
    """Take back a step's job, which no agent has yet."""

    step_id: str


@dataclass(frozen=True)
class End:
    """The deploy has ended."""

    status: Literal["succeeded", "failed", "cancelled"]


Change = SetPhase | Enqueue | AskApproval | Replan | CancelJob | DropJob | End


def decide(state: DeployState, event: Event) -> list[Change]:
    """The changes that follow from one event, in order. A deploy whose steps are all done ends."""
    steps = {step.id: step for step in state.steps}
    changes: list[Change] = []
    cancelling = state.cancelling

    def become(step: StepState, phase: StepPhase, because: str = "", *, left_out: bool = False) -> None:
        steps[step.id] = step._replace(phase=phase, left_out=left_out)
        changes.append(SetPhase(step.id, phase, because, left_out))

    match event:
        case StepEnded():
            step = steps[event.step_id]._replace(
                plan_empty=event.plan_empty,
                plan_harmless=event.plan_harmless,
                plan_asks=event.plan_asks,
                outputs_changed=event.outputs_changed,
            )
            steps[step.id] = step
            if event.interrupted and step.kind in _PLAN_OF and step.replans < MAX_REPLANS and not cancelling:
                changes.append(Replan(step.id))
                for each in _from_plan_on(step, steps):
                    become(each, "waiting")
            else:
                become(step, event.outcome)
        case ReportedLate():
            steps[event.step_id] = steps[event.step_id]._replace(outputs_changed=event.outputs_changed)
            become(steps[event.step_id], event.outcome)
            if event.outcome == "succeeded" and not cancelling:
                for step in _not_run_for(steps[event.step_id], steps):
                    become(step, "waiting")
        case CancelRequested():
            cancelling = True
            for step in state.steps:
                if step.phase == "active" and step.kind == "approve":
                    become(step, "cancelled")
                elif step.phase == "active":
                    changes.append(CancelJob(step.id))
        case RetryRequested():
            for step in _retried(steps[event.step_id], steps):
                become(step, "waiting")
        case SkipRequested():
            component = steps[event.step_id].component
            for step in [each for each in steps.values() if each.component == component and each.phase not in _DONE]:
                if step.phase == "active" and step.kind != "approve":
                    changes.append(DropJob(step.id))
                become(step, "skipped", left_out=True)
        case Started():
            pass

    moved = True
    while moved:
        moved = False
        for step in list(steps.values()):
            if step.phase != "waiting":
                continue
            needed = [steps[need] for need in step.needs]
            blocker = next((need for need in needed if need.phase in ("failed", "cancelled")), None)
            if cancelling or blocker:
                become(step, "cancelled", blocker.component if blocker else "")
            elif any(need.left_out for need in needed):
                become(step, "skipped", left_out=True)
            elif any(need.phase in ("waiting", "active") for need in needed):
                continue
            elif _has_nothing_to_do(step, steps, needed):
                become(step, "skipped")
            else:
                become(step, "active")
                changes.append(AskApproval(step.id) if step.kind == "approve" else Enqueue(step.id))
            moved = True

    phases = {step.phase for step in steps.values()}
    if not phases & {"waiting", "active"}:
        changes.append(End("failed" if "failed" in phases else "cancelled" if "cancelled" in phases else "succeeded"))
    return changes


def with_running(state: DeployState, running: set[str]) -> DeployState:
    """The same state, with the steps whose jobs agents have now."""
    return DeployState(tuple([step._replace(running=step.id in running) for step in state.steps]), state.cancelling)


def why_no_retry(state: DeployState, step_id: str) -> str:
    """Why a step can't be tried again, in words; empty if it can."""
    step = next(step for step in state.steps if step.id == step_id)
    if state.cancelling:
        return "the deploy is being cancelled"
    if step.phase == "cancelled":
        return "it was not run because of another step: retry the one that failed"
    return "" if step.phase == "failed" else f"it has not failed: it is {step.phase}"


def why_no_skip(state: DeployState, step_id: str) -> str:
    """Why the component of a step can't be left out, in words; empty if it can."""
    component = next(step.component for step in state.steps if step.id == step_id)
    mine = [step for step in state.steps if step.component == component]
    if state.cancelling:
        return "the deploy is being cancelled"
    if running := next((step for step in mine if step.running), None):
        return f"its {running.kind} is running; wait until it has ended, or cancel the deploy"
    return "" if any(step.phase in ("waiting", "active") for step in mine) else f"nothing of {component} is left to be done"


def _plan_of(step: StepState, steps: dict[str, StepState]) -> StepState | None:
    if step.kind == "approve":
        return next((steps[need] for need in step.needs if steps[need].kind in _PLANS), None)
    kind = _PLAN_OF.get(step.kind)
    return next((other for other in steps.values() if other.component == step.component and other.kind == kind), None)


def _from_plan_on(step: StepState, steps: dict[str, StepState]) -> list[StepState]:
    """The plan, the approval and the apply of a component: a new plan makes an earlier approval void (`saved-plan`)."""
    return [other for other in steps.values() if other.component == step.component and other.kind != "sync"]


def _retried(step: StepState, steps: dict[str, StepState]) -> list[StepState]:
    """What waits again when a failed step is tried again: it, the plan that it was to apply, and what was not run for it."""
    again = {step.id} if step.kind == "sync" else {each.id for each in _from_plan_on(step, steps)}
    return [each for each in steps.values() if each.id in _with_not_run(again, steps)]


def _not_run_for(step: StepState, steps: dict[str, StepState]) -> list[StepState]:
    """What was not run because a step did not end well."""
    return [each for each in steps.values() if each.id in _with_not_run({step.id}, steps) - {step.id}]


def _with_not_run(ids: set[str], steps: dict[str, StepState]) -> set[str]:
    """These steps, and what was not run for them, however indirectly."""
    reached = set(ids)
    not_run = [each for each in steps.values() if each.phase == "cancelled"]
    while more := {each.id for each in not_run if each.id not in reached and reached & set(each.needs)}:
        reached |= more
    return reached


def _has_nothing_to_do(step: StepState, steps: dict[str, StepState], needed: list[StepState]) -> bool:
    plan = _plan_of(step, steps)
    if step.kind == "approve":
        nobody_asks = step.conditional and plan is not None and not plan.plan_asks
        return plan is not None and (plan.phase == "skipped" or plan.plan_empty or plan.plan_harmless or nobody_asks)
    if step.kind == "apply":
        return plan is not None and (plan.phase == "skipped" or plan.plan_empty)
    return step.conditional and not any(need.outputs_changed for need in needed if need.component != step.component)
