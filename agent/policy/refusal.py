"""How the customer's rules say no: a step result that the vendor sees, with the rule's name and without a secret."""

from agent.failure import CodedError
from agent.policy.rules import Finding

_SHOWN = 5


class PolicyRefusedError(CodedError):
    """The customer's policy doesn't let this happen."""

    code = "refused_by_policy"
    remedy = "Ask the customer: only they can change their policy, on the agent's machine."


class WindowClosedError(CodedError):
    """It may happen, but not now."""

    code = "refused_by_policy"
    retryable = True


def refused(component: str, findings: list[Finding]) -> PolicyRefusedError:
    """The refusal of a plan because of rules that hold of it."""
    said = "; ".join(map(in_words, findings))
    return PolicyRefusedError(
        f"the customer's policy refuses the plan of {component}: {said}",
        remedy="Change what the plan does, or ask the customer to change the rule, on the agent's machine; then deploy again.",
    )


def in_words(finding: Finding) -> str:
    """A rule that holds, with what the customer says to it and the objects of which it holds."""
    return f"rule {finding.rule!r}{_message(finding)}{_addresses(finding)}"


def _message(finding: Finding) -> str:
    return f": {finding.message.rstrip('.')}" if finding.message else ""


def _addresses(finding: Finding) -> str:
    if not finding.addresses:
        return ""
    more = len(finding.addresses) - _SHOWN
    return f" ({', '.join(finding.addresses[:_SHOWN])}" + (f" and {more} more)" if more > 0 else ")")
