"""What two readers of IAM policies say of a policy. Run in the environment of `requirements.txt`; the policy is on stdin.

Prints JSON: `findings` of parliament, and `actions` that policy_sentry knows to change something, by access level.
"""

import json
import sys

import parliament
from policy_sentry.querying.actions import get_action_data

policy = json.loads(sys.stdin.read())
analyzed = parliament.analyze_policy_string(json.dumps(policy))
changing: dict[str, list[str]] = {}
for statement in policy["Statement"]:
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    for action in actions:
        service, name = action.split(":")
        known = get_action_data(service, name)
        level = known[service][0]["access_level"] if known else "unknown"
        if level not in ("Read", "List"):
            changing.setdefault(level, []).append(action)
print(json.dumps({"findings": [f"{each.issue}: {each.detail}" for each in analyzed.findings], "actions": changing}))
