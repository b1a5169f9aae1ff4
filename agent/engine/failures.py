"""What a failed engine command means to people: the engine's own words, and what to do."""

from typing import Literal

from agent.engine.run import Ended
from api.contract.base import Failure

Stage = Literal["init", "plan", "apply", "destroy"]

_SHOWN_ERRORS = 5
_REMEDIES: dict[Stage, str] = {
    "init": "Correct the module's source, its providers or its lock file, and apply again: the new source makes a new build.",
    "plan": "Correct the module or the component's variables, and apply again.",
    "apply": "What was made so far is in the state. Correct the cause, and apply again: a new plan goes on from there.",
    "destroy": "What is left is in the state. Correct the cause, and destroy again: a new plan goes on from there.",
}


def failure_of(stage: Stage, ended: Ended) -> Failure:
    """The failure of a command that didn't succeed: `init_failed`, `plan_failed`, `apply_failed` or `destroy_failed`."""
    texts = [error.text for error in ended.errors[:_SHOWN_ERRORS]]
    if len(ended.errors) > _SHOWN_ERRORS:
        texts.append(f"… and {len(ended.errors) - _SHOWN_ERRORS} more errors; the log has all of them.")
    if ended.stopped:
        texts.insert(0, f"The engine was stopped because {ended.stopped}.")
    return Failure(
        code=f"{stage}_failed",
        message="\n".join(texts) or f"The engine ended with exit code {ended.exit_code} and named no error; see the log.",
        remedy=_REMEDIES[stage],
        retryable=ended.exit_code < 0 and not ended.stopped,
    )


def plan_is_stale(ended: Ended) -> bool:
    """Whether an apply was refused because the state has moved since the plan was made."""
    return any(error.summary == "Saved plan is stale" for error in ended.errors)
