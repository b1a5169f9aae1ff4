from typing import Any

import pytest

from agent.install.terraform_module.plan_summary import secrets, summarize
from api.contract.resources import PlannedChange, ValueChange


def resource(actions: list[str], **parts: Any) -> dict[str, Any]:
    change = {"actions": actions, **{key: parts.pop(key) for key in list(parts) if key != "previous_address"}}
    return {"address": "a.b", "mode": "managed", "change": change, **parts}


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (resource(["create"]), (1, 0, 0)),
        (resource(["update"]), (0, 1, 0)),
        (resource(["delete"]), (0, 0, 1)),
        (resource(["delete", "create"]), (1, 0, 1)),
        (resource(["create", "delete"]), (1, 0, 1)),
        (resource(["forget"]), (0, 1, 0)),
        (resource(["no-op"]), (0, 0, 0)),
        (resource(["read"]), (0, 0, 0)),
        (resource(["no-op"], previous_address="a.c"), (0, 1, 0)),
        (resource(["no-op"], importing={"id": "x"}), (0, 1, 0)),
    ],
)
def test_changes_are_counted(change: dict[str, Any], counts: tuple[int, int, int]) -> None:
    summary = summarize({"resource_changes": [change]}, outputs_known={})
    assert (summary.add, summary.change, summary.destroy) == counts
    assert summary.empty == (counts == (0, 0, 0))


def test_only_names_of_attributes_are_told() -> None:
    change = resource(
        ["update"],
        before={"same": 1, "new": None, "old": "hidden-1"},
        after={"same": 1, "new": "hidden-2", "old": None},
        after_unknown={"later": True},
    )
    summary = summarize({"resource_changes": [change]}, outputs_known={})
    assert summary.resources == [PlannedChange(address="a.b", actions=["update"], attributes=["later", "new", "old"])]


def test_values_are_told_if_they_are_wanted_and_neither_sensitive_nor_long() -> None:
    change = resource(
        ["update"],
        before={"size": 1, "name": "a", "password": "old", "tags": {"a": "b"}, "long": "x", "computed": "id-1"},
        before_sensitive={"password": True},
        after={"size": 12345678901234567890, "name": None, "password": "new", "tags": {}, "long": "x" * 201},
        after_sensitive={"password": True, "tags": {"a": True}},
        after_unknown={"computed": True},
    )
    (planned,) = summarize({"resource_changes": [change]}, outputs_known={}, values=True).resources
    assert planned.values == {
        "size": ValueChange(before="1", after="12345678901234567890"),
        "name": ValueChange(before='"a"', after=None),
        "computed": ValueChange(before='"id-1"', unknown=True),
    }
    assert summarize({"resource_changes": [change]}, outputs_known={}).resources[0].values == {}
    whole = resource(["create"], after={"name": "a"}, after_sensitive=True)
    assert summarize({"resource_changes": [whole]}, outputs_known={}, values=True).resources[0].values == {}


def test_a_move_is_told_with_what_else_happens() -> None:
    moved = resource(["update"], previous_address="a.c", before={"x": 1}, after={"x": 2})
    (planned,) = summarize({"resource_changes": [moved]}, outputs_known={}).resources
    assert (planned.actions, planned.previous_address) == (["move", "update"], "a.c")


def test_data_sources_are_not_changes() -> None:
    assert summarize({"resource_changes": [{**resource(["read"]), "mode": "data"}]}, outputs_known={}).empty


def test_outputs_that_change_make_a_plan_worth_applying() -> None:
    assert summarize({"output_changes": {"a": {"actions": ["update"]}}}, outputs_known={}).outputs_change
    assert not summarize({"output_changes": {"a": {"actions": ["no-op"]}}}, outputs_known={}).outputs_change


def test_outputs_that_the_agent_never_read_make_a_plan_worth_applying() -> None:
    plan = {"prior_state": {"values": {"outputs": {"a": {"value": 1}}}}}
    assert summarize(plan, outputs_known=None).outputs_change
    assert summarize(plan, outputs_known={"a": 2}).outputs_change
    assert not summarize(plan, outputs_known={"a": 1}).outputs_change


def test_what_the_plan_marks_as_sensitive_is_found() -> None:
    change = resource(
        ["update"],
        before={"password": "old"},
        before_sensitive={"password": True},
        after={"nested": {"list": ["open", "shut"]}, "password": None},
        after_sensitive={"nested": {"list": [False, True]}, "password": True},
    )
    output = {"actions": ["create"], "before": None, "before_sensitive": False, "after": "token", "after_sensitive": True}
    found = [value for value in secrets({"resource_changes": [change], "output_changes": {"t": output}}) if value]
    assert found == ["old", "shut", "token"]
