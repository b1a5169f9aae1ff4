"""What Terraform's `check` blocks say, read from documents as Terraform 1.11 writes them."""

import json

from agent.install.terraform_module.checks import checks_of_plan, checks_of_state


def redact(text: str) -> str:
    return text.replace("hush", "*")


def test_the_checks_of_a_plan() -> None:
    def check(name: str, status: str, *problems: str, kind: str = "check") -> dict[str, object]:
        address = {"kind": kind, "name": name, "to_display": f"check.{name}"}
        instance = {
            "address": {"to_display": f"check.{name}"},
            "status": status,
            "problems": [{"message": one} for one in problems],
        }
        return {"address": address, "status": status, "instances": [instance]}

    document = {
        "checks": [
            check("good", "pass"),
            check("bad", "fail", "is 1, not hush", "and more"),
            check("broken", "error", "no such host"),
            check("later", "unknown"),
            check("x", "pass", kind="resource"),
        ]
    }
    assert [(check.name, check.status, check.reason) for check in checks_of_plan(document, redact)] == [
        ("check.good", "healthy", ""),
        ("check.bad", "degraded", "is 1, not *; and more"),
        ("check.broken", "degraded", "no such host"),
        ("check.later", "unknown", ""),
    ]
    assert checks_of_plan({}, redact) == []


def test_the_checks_of_a_state() -> None:
    assert checks_of_state(b"", redact) == []
    bad = {"object_addr": "check.bad", "status": "fail", "failure_messages": ["x is hush, not 2"]}
    results = [
        {"object_kind": "check", "config_addr": "check.bad", "status": "fail", "objects": [bad]},
        {"object_kind": "check", "config_addr": "module.a.check.good", "status": "pass", "objects": None},
        {"object_kind": "resource", "config_addr": "x.y", "status": "pass", "objects": None},
    ]
    state = json.dumps({"version": 4, "check_results": results}).encode()
    assert [(check.name, check.status, check.reason) for check in checks_of_state(state, redact)] == [
        ("check.bad", "degraded", "x is *, not 2"),
        ("module.a.check.good", "healthy", ""),
    ]
    assert checks_of_state(b'{"version": 4, "check_results": null}', redact) == []
