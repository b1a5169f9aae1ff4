"""What Terraform's `check` blocks found, as the engine says it in a plan and in the state.

Conditions of resources and outputs aren't taken: one that doesn't hold ends the run itself.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from api.contract.component_health import HealthCheck, HealthStatus, checked

_STATUS: dict[str, HealthStatus] = {"pass": "healthy", "fail": "degraded", "error": "degraded"}


def checks_of_plan(document: Mapping[str, Any], redact: Callable[[str], str]) -> list[HealthCheck]:
    """The checks of `show -json`: developer.hashicorp.com/terraform/internals/json-format#checks-representation."""
    return [
        _check(
            each["address"]["to_display"],
            each["status"],
            [problem["message"] for instance in each.get("instances", []) for problem in instance.get("problems", [])],
            redact,
        )
        for each in document.get("checks") or []
        if each["address"]["kind"] == "check"
    ]


def checks_of_state(state: bytes, redact: Callable[[str], str]) -> list[HealthCheck]:
    """The checks in a state of version 4: its `check_results`. Empty where there is no state."""
    document = json.loads(state or b"{}")
    return [
        _check(
            each["config_addr"],
            each["status"],
            [message for one in each.get("objects") or [] for message in one.get("failure_messages") or []],
            redact,
        )
        for each in document.get("check_results") or []
        if each["object_kind"] == "check"
    ]


def _check(address: str, status: str, messages: list[str], redact: Callable[[str], str]) -> HealthCheck:
    return checked(address, "terraform_check", _STATUS.get(status, "unknown"), redact("; ".join(messages)))
