from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.failure import CodedError
from agent.policy.pause import KillSwitch, Paused
from agent.policy.planned import PlannedObject, PlanUnreadableError, from_terraform
from agent.policy.policy import Policy, PolicySource
from agent.policy.read import read_policy
from agent.policy.refusal import PolicyRefusedError
from agent.policy.rules import Finding, Subject
from api.contract.base import Failure

SATURDAY = datetime(2026, 11, 21, 22, 30, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
APPLY = Subject("apply", "network", "terraform_module")


def policy(text: str) -> Policy:
    return Policy(read_policy("policy.yaml", "version: 1\n" + text))


def refusal(
    rules: Policy, job: Any, kind: Any = "terraform_module", now: datetime = SATURDAY, component: str = "network"
) -> Failure:
    with pytest.raises(CodedError) as caught:
        rules.check_job(job, component, kind, now, [DIGEST])
    failure = caught.value.failure
    assert failure.code == "refused_by_policy"
    assert failure.remedy
    return failure


def changed(type_: str, action: Any = "create", after: Any = None, **fields: Any) -> PlannedObject:
    return PlannedObject(address=f"{type_}.x", type=type_, action=action, after=after, **fields)


def test_a_kind_that_is_not_allowed_is_refused() -> None:
    rules = policy("kinds: [helm_chart]\n")
    assert "allows no terraform_module, which network is; it allows: helm_chart" in refusal(rules, "plan").message
    rules.check_job("plan", "web", "helm_chart", SATURDAY)
    rules.check_job("sync", "network", None, SATURDAY)


def test_a_component_that_is_not_allowed_is_refused() -> None:
    rules = policy("components: ['web*']\n")
    assert "no component 'network'" in refusal(rules, "sync").message
    rules.check_job("sync", "web-1", None, SATURDAY)


def test_read_only_lets_sync_and_plan_through_and_nothing_else() -> None:
    rules = policy("mode: read_only\n")
    for job in ("sync", "plan", "plan_destroy"):
        rules.check_job(job, "network", "terraform_module", SATURDAY)  # type: ignore[arg-type]
    for job in ("apply", "destroy"):
        assert "read_only" in refusal(rules, job).message


def test_a_revoked_artifact_is_refused_everywhere() -> None:
    rules = policy(f"revoked: ['{DIGEST}']\n")
    assert "has revoked" in refusal(rules, "sync").message
    assert "has revoked" in refusal(rules, "apply").message


def test_outside_of_the_windows_nothing_is_applied_and_the_next_opening_is_said() -> None:
    rules = policy("windows: [{days: [sat], from: 22:00, to: 23:00, time_zone: UTC, operations: [apply]}]\n")
    rules.check_job("apply", "network", "terraform_module", SATURDAY)
    failure = refusal(rules, "apply", now=SATURDAY.replace(hour=23))
    assert failure.retryable
    assert "the next opens at 2026-11-28T22:00+00:00" in failure.message
    for job in ("sync", "plan", "destroy"):
        rules.check_job(job, "network", "terraform_module", SATURDAY.replace(hour=23))  # type: ignore[arg-type]


def test_while_the_agent_is_paused_nothing_begins(tmp_path: Path) -> None:
    switch = KillSwitch(tmp_path)
    switch.pause(Paused(by="ann", since=SATURDAY, reason="an incident"))
    paused = PolicySource(tmp_path).load()
    for job in ("sync", "plan", "plan_destroy", "apply", "destroy"):
        assert "paused since 2026-11-21 22:30:00Z: an incident" in refusal(paused, job).message
    assert switch.resume()
    assert not switch.resume()
    PolicySource(tmp_path).load().check_job("sync", "network", None, SATURDAY)


def test_an_empty_file_pauses_as_well(tmp_path: Path) -> None:
    (tmp_path / "paused").touch()
    assert PolicySource(tmp_path).load().paused == Paused()


def test_a_rule_refuses_a_plan_by_type_action_and_component() -> None:
    rules = policy(
        "rules: [{name: keep databases, message: Call us., types: ['aws_db_*'], actions: [delete, replace], "
        "components: [net*]}]\n"
    )
    assert rules.judge(APPLY, [changed("aws_db_instance"), changed("aws_vpc", "replace")]) == []
    assert rules.judge(Subject("apply", "web", "terraform_module"), [changed("aws_db_instance", "replace")]) == []
    with pytest.raises(PolicyRefusedError, match=r"rule 'keep databases': Call us \(aws_db_instance.x\)"):
        rules.judge(APPLY, [changed("aws_vpc"), changed("aws_db_instance", "replace", {"password": "canary"})])


def test_a_rule_that_asks_is_found_and_refuses_nothing() -> None:
    rules = policy("rules: [{name: yes for destroys, effect: ask, operations: [destroy]}]\n")
    assert rules.judge(APPLY, [changed("aws_vpc")]) == []
    destroying = Subject("destroy", "network", "terraform_module")
    assert rules.judge(destroying, [changed("aws_vpc", "delete")]) == [Finding("yes for destroys", "ask", "", ("aws_vpc.x",))]
    assert rules.judge(destroying, []) == []


@pytest.mark.parametrize(
    ("condition", "after", "unknown", "holds"),
    [
        ("{attribute: acl, like: public-*}", {"acl": "public-read"}, None, True),
        ("{attribute: acl, like: public-*}", {"acl": "private"}, None, False),
        ("{attribute: acl, like: public-*}", {}, None, False),
        ("{attribute: acl, like: public-*}", {}, {"acl": True}, True),
        ("{attribute: open, equals: true}", {"open": True}, None, True),
        ("{attribute: open, equals: true}", {"open": 1}, None, False),
        ("{attribute: 'rules.*.cidr.*', one_of: [0.0.0.0/0]}", {"rules": [{"cidr": ["10.0.0.0/8", "0.0.0.0/0"]}]}, None, True),
        ("{attribute: 'rules.*.cidr.*', one_of: [0.0.0.0/0]}", {"rules": [{"cidr": ["10.0.0.0/8"]}]}, None, False),
        ("{attribute: 'rules.*.cidr.*', one_of: [x]}", {"rules": [{}]}, {"rules": [{"cidr": [True]}]}, True),
        ("{attribute: 'rules.0.cidr', equals: x}", {"rules": [{"cidr": "x"}]}, {"rules": [{"cidr": False}]}, True),
        ("{attribute: size, changes: true}", {"size": 2}, None, True),
    ],
)
def test_a_rule_looks_at_attributes_and_takes_what_is_unknown_for_what_it_is_about(
    condition: str, after: Any, unknown: Any, holds: bool
) -> None:
    rules = policy(f"rules: [{{name: r, effect: ask, where: [{condition}]}}]\n")
    assert bool(rules.judge(APPLY, [changed("aws_x", "update", after, unknown=unknown)])) is holds


@pytest.mark.parametrize(
    ("name", "planned", "holds"),
    [
        ("no-iam-changes", changed("aws_iam_role_policy", "update"), True),
        ("no-iam-changes", changed("google_project_iam_member", "delete"), True),
        ("no-iam-changes", changed("ClusterRoleBinding"), True),
        ("no-iam-changes", changed("aws_vpc"), False),
        ("no-database-loss", changed("google_sql_database_instance", "replace"), True),
        ("no-database-loss", changed("StatefulSet", "delete"), True),
        ("no-database-loss", changed("aws_db_instance", "update"), False),
        ("no-storage-loss", changed("aws_s3_bucket", "delete"), True),
        ("no-storage-loss", changed("aws_s3_bucket", "create"), False),
        ("no-egress", changed("aws_nat_gateway"), True),
        ("no-egress", changed("aws_nat_gateway", "delete"), False),
        ("no-egress", changed("aws_route", after={"destination_cidr_block": "0.0.0.0/0"}), True),
        ("no-egress", changed("aws_route", after={"destination_cidr_block": "10.0.0.0/8"}), False),
        ("no-egress", changed("aws_security_group", after={"egress": [{"cidr_blocks": ["0.0.0.0/0"]}]}), True),
        ("no-egress", changed("aws_security_group", after={"egress": []}), False),
        ("no-egress", changed("aws_security_group_rule", after={"type": "ingress", "cidr_blocks": ["0.0.0.0/0"]}), False),
        (
            "no-public-ingress",
            changed("aws_security_group_rule", after={"type": "ingress", "cidr_blocks": ["0.0.0.0/0"]}),
            True,
        ),
        ("no-public-ingress", changed("Service", after={"spec": {"type": "LoadBalancer"}}), True),
        ("no-public-ingress", changed("Service", after={"spec": {"type": "ClusterIP"}}), False),
        ("no-public-ingress", changed("aws_lb", after={"internal": True}), False),
    ],
)
def test_the_ready_made_rules(name: str, planned: PlannedObject, holds: bool) -> None:
    found = policy(f"rules: [{{use: {name}, effect: ask}}]\n").judge(APPLY, [planned])
    assert [each.rule for each in found] == ([name] if holds else [])


def test_the_environment_and_the_patterns_are_those_of_the_operation() -> None:
    rules = policy("environment: {plan: {AWS_PROFILE: reader}, apply: {AWS_PROFILE: writer}}\nredact: ['AKIA[A-Z]+']\n")
    assert rules.environment("plan_destroy") == {"AWS_PROFILE": "reader"}
    assert rules.environment("apply") == {"AWS_PROFILE": "writer"}
    assert rules.environment("destroy") == rules.environment("sync") == {}
    assert [pattern.pattern for pattern in rules.patterns()] == ["AKIA[A-Z]+"]


def resource(actions: list[str], **fields: Any) -> dict[str, Any]:
    change = {"actions": actions, "before": None, "after": {"a": 1}, "after_unknown": {}}
    return {"address": "x.y", "mode": "managed", "type": "x", "change": change | fields.pop("change", {}), **fields}


@pytest.mark.parametrize(
    ("change", "action"),
    [
        (resource(["create"]), "create"),
        (resource(["delete", "create"]), "replace"),
        (resource(["create", "delete"]), "replace"),
        (resource(["forget"]), "forget"),
        (resource(["no-op"], change={"importing": {"id": "1"}}), "import"),
        (resource(["no-op"], previous_address="x.z"), "move"),
        (resource(["no-op"]), None),
        (resource(["read"], mode="data"), None),
    ],
)
def test_a_terraform_plan_is_seen_object_by_object(change: dict[str, Any], action: str | None) -> None:
    objects = from_terraform({"resource_changes": [change]}).objects
    assert [each.action for each in objects] == ([action] if action else [])


def test_actions_of_providers_count() -> None:
    found = from_terraform({"action_invocations": [{"address": "action.aws_lambda_invoke.x", "type": "aws_lambda_invoke"}]})
    assert [(each.type, each.action) for each in found.objects] == [("aws_lambda_invoke", "invoke")]


def test_what_the_rules_do_not_know_is_not_applied() -> None:
    with pytest.raises(PlanUnreadableError, match="'melt'"):
        from_terraform({"resource_changes": [resource(["melt"])]})
