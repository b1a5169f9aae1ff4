"""How a deploy of any kind ends without what was wanted."""

from agent.failure import CodedError


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
    """What runs has moved since the plan was made."""

    code = "plan_stale"
    retryable = True
    remedy = "Deploy again: a new plan is needed."


class DestroyIncompleteError(CodedError):
    """The destroy says that it succeeded, but objects are left; forgetting the component would lose what is known of them."""

    code = "destroy_incomplete"
    remedy = "Remove the objects, or take them out of the state, on the agent's machine; then destroy again."


class ApplyInterruptedError(CodedError):
    """The apply of this plan was cut off after it had changed something."""

    code = "apply_interrupted"
    retryable = True
    remedy = "Deploy again: what was made so far is in the state, and a new plan goes on from there."
