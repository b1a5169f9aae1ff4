"""What a deploy does next: `decide(state, event) -> changes`. Pure: no database, no clock, no network."""

from dataclasses import dataclass, replace
from typing import Literal

from api.contract.resources import StepKind

StepPhase = Literal["waiting", "active", "succeeded", "failed", "cancelled", "skipped"]
"""`active` = has a job that isn't done. `cancelled` = not run, or stopped, because of a cancel or of a failure before it."""

MAX_REPLANS = 2
_PLAN_OF: dict[StepKind, StepKind] = {"apply": "plan", "destroy": "plan_destroy"}


@dataclass(frozen=True)
class StepState:
    """What counts about a step. `conditional` = runs only if the outputs of a component that it needs have changed."""

    id: str
    component: str
    kind: StepKind
    phase: StepPhase
    needs: tuple[str, ...]
    conditional: bool = False
    plan_empty: bool = False
    outputs_changed: bool = False
    replans: int = 0


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
    """A step's job has ended. `interrupted` = the agent was stopped while it applied, and the saved plan is stale now."""

    step_id: str
    outcome: Literal["succeeded", "failed", "cancelled"]
    plan_empty: bool = False
    outputs_changed: bool = False
    interrupted: bool = False


@dataclass(frozen=True)
class CancelRequested:
    """Somebody wants the deploy to stop."""


Event = Started | StepEnded | CancelRequested


@dataclass(frozen=True)
class SetPhase:
    """A step is in another phase now; `because` names the component that held it up."""

    step_id: str
    phase: StepPhase
    because: str = ""


@dataclass(frozen=True)
class Enqueue:
    """Make a job for a step."""

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
class End:
    """The deploy has ended."""

    status: Literal["succeeded", "failed", "cancelled"]


Change = SetPhase | Enqueue | Replan | CancelJob | End


def decide(state: DeployState, event: Event) -> list[Change]:
    """The changes that follow from one event, in order. A deploy whose steps are all done ends."""
    steps = {step.id: step for step in state.steps}
    changes: list[Change] = []
    cancelling = state.cancelling

    def become(step: StepState, phase: StepPhase, because: str = "") -> None:
        steps[step.id] = replace(step, phase=phase)
        changes.append(SetPhase(step.id, phase, because))

    match event:
        case StepEnded():
            step = replace(steps[event.step_id], plan_empty=event.plan_empty, outputs_changed=event.outputs_changed)
            plan = _plan_of(step, steps)
            if event.interrupted and plan and step.replans < MAX_REPLANS and not cancelling:
                changes.append(Replan(step.id))
                become(step, "waiting")
                become(plan, "waiting")
            else:
                become(step, event.outcome)
        case CancelRequested():
            cancelling = True
            changes += [CancelJob(step.id) for step in state.steps if step.phase == "active"]
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
            elif any(need.phase in ("waiting", "active") for need in needed):
                continue
            elif _has_nothing_to_do(step, steps, needed):
                become(step, "skipped")
            else:
                become(step, "active")
                changes.append(Enqueue(step.id))
            moved = True

    phases = {step.phase for step in steps.values()}
    if not phases & {"waiting", "active"}:
        changes.append(End("failed" if "failed" in phases else "cancelled" if "cancelled" in phases else "succeeded"))
    return changes


def _plan_of(step: StepState, steps: dict[str, StepState]) -> StepState | None:
    kind = _PLAN_OF.get(step.kind)
    return next((other for other in steps.values() if other.component == step.component and other.kind == kind), None)


def _has_nothing_to_do(step: StepState, steps: dict[str, StepState], needed: list[StepState]) -> bool:
    if step.kind == "apply":
        plan = _plan_of(step, steps)
        return plan is not None and (plan.phase == "skipped" or plan.plan_empty)
    return step.conditional and not any(need.outputs_changed for need in needed if need.component != step.component)
