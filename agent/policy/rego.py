"""Rules in Rego: the customer's own `opa` judges the plan, and every message that it gives is a refusal.

`opa eval --format json --stdin-input --data FILE… QUERY` (Open Policy Agent's documentation, "CLI reference"): the input is
JSON on standard input, and the answer `{"result": [{"expressions": [{"value": …}]}]}`, without `result` where the query is
undefined.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from agent.failure import CodedError
from agent.policy.document import Rego
from agent.policy.planned import PlannedObject
from agent.policy.rules import Finding, Subject
from api.contract.base import Json


class RegoFailedError(CodedError):
    """`opa` gives no answer that can be understood. What can't be judged isn't applied."""

    code = "policy_invalid"
    remedy = "Run `opa eval` with the same files by hand; `rego` in the policy file says which."


def judge(rego: Rego, folder: Path, subject: Subject, objects: Sequence[PlannedObject]) -> list[Finding]:
    """The refusals of the policy's Rego. Blocks. Raises RegoFailedError."""
    files = [argument for file in rego.files for argument in ("--data", str(folder / file))]
    given = {
        "operation": subject.operation,
        "component": subject.component,
        "kind": subject.kind,
        "objects": [each.model_dump(mode="json") for each in objects],
    }
    command = [rego.opa, "eval", "--format", "json", "--stdin-input", *files, rego.query]
    try:
        ended = subprocess.run(
            command, input=json.dumps(given), capture_output=True, text=True, timeout=rego.seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegoFailedError(f"the policy's {rego.opa} can't be run: {error}") from None
    if ended.returncode:
        raise RegoFailedError(f"the policy's {rego.opa} ended with {ended.returncode}")
    return [Finding(f"rego {rego.query}", "refuse", message, ()) for message in _messages(rego, ended.stdout)]


def _messages(rego: Rego, printed: str) -> list[str]:
    try:
        answer: Json = json.loads(printed)
        values = [expression["value"] for result in answer.get("result", []) for expression in result["expressions"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RegoFailedError(f"the policy's {rego.opa} printed something else than an answer") from None
    messages: list[str] = []
    for value in values:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise RegoFailedError(f"{rego.query} must be a set of texts, each of which says why the plan is refused")
        messages += value
    if not values:
        raise RegoFailedError(f"{rego.query} is undefined", remedy="Name a rule that is there: `deny contains message if …`.")
    return messages
