"""Typed inputs: which values an install may give."""

from typing import Any

import pytest
from pydantic import ValidationError

from api.contract.inputs import InputSpec, InputType, check_specs, check_values, coerce


@pytest.mark.parametrize(
    ("kind", "given", "taken"),
    [
        ("string", "x", "x"),
        ("string", "", ""),
        ("string", 80, "80"),
        ("string", 1.5, "1.5"),
        ("number", 80, 80),
        ("number", "80", 80),
        ("number", "-1.5", -1.5),
        ("bool", True, True),
        ("bool", "false", False),
        ("list", [1, "a"], [1, "a"]),
        ("list", '["a"]', ["a"]),
        ("map", {"a": 1}, {"a": 1}),
        ("map", '{"a": {"b": null}}', {"a": {"b": None}}),
    ],
)
def test_a_value_is_taken_as_its_type(kind: InputType, given: Any, taken: Any) -> None:
    coerced = coerce(kind, given)
    assert (coerced, type(coerced)) == (taken, type(taken))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("string", True),
        ("string", None),
        ("string", ["a"]),
        ("string", float("nan")),
        ("number", "eighty"),
        ("number", True),
        ("number", "NaN"),
        ("number", float("inf")),
        ("number", None),
        ("bool", 1),
        ("bool", "True"),
        ("list", "a"),
        ("list", {"a": 1}),
        ("list", "[NaN]"),
        ("map", [1]),
        ("map", "null"),
        ("map", {"a": float("inf")}),
    ],
)
def test_a_value_of_another_type_is_refused(kind: InputType, given: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whoever calls it says what is wrong
        coerce(kind, given)


def specs(*many: dict[str, Any]) -> list[InputSpec]:
    return [InputSpec.model_validate(one) for one in many]


def test_declarations_that_are_right_have_no_problems() -> None:
    assert check_specs(specs({"name": "a", "default": "x"}, {"name": "b", "type": "number", "default": "3"})) == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ([{"name": "a"}, {"name": "a"}], "inputs.a"),
        ([{"name": "a", "type": "number", "default": "x"}], "inputs.a.default"),
        ([{"name": "a", "sensitive": True, "default": "hush"}], "inputs.a.default"),
    ],
)
def test_a_wrong_declaration_is_told_at_its_field(wrong: list[dict[str, Any]], field: str) -> None:
    problems = check_specs(specs(*wrong))
    assert {problem.field for problem in problems} == {field}
    assert not any("hush" in problem.message for problem in problems)


def test_an_unknown_type_and_a_wrong_name_are_refused_by_the_model() -> None:
    for wrong in ({"name": "a", "type": "zebra"}, {"name": "Not A Name"}, {"name": "a", "deflt": 1}):
        with pytest.raises(ValidationError):
            InputSpec.model_validate(wrong)


def test_defaults_fill_in_and_optional_inputs_may_be_left_out() -> None:
    plain, sensitive, problems = check_values(
        specs({"name": "a", "default": "x"}, {"name": "b", "required": False}, {"name": "s", "sensitive": True}),
        {},
        {"s": "hush"},
    )
    assert (plain, sensitive, problems) == ({"a": "x"}, {"s": "hush"}, [])


@pytest.mark.parametrize(
    ("plain", "sensitive", "field"),
    [
        ({}, {}, "inputs"),
        ({"a": "1", "zebra": 1}, {}, "inputs.zebra"),
        ({"a": "one"}, {}, "inputs.a"),
        ({"a": 1, "s": "hush"}, {}, "inputs.s"),
        ({}, {"a": 1}, "sensitive_inputs.a"),
        ({"a": 1}, {"s": ["hush"]}, "sensitive_inputs.s"),
    ],
)
def test_a_wrong_value_is_told_at_its_field(plain: dict[str, Any], sensitive: dict[str, Any], field: str) -> None:
    declared = specs({"name": "a", "type": "number"}, {"name": "s", "sensitive": True, "required": False})
    problems = check_values(declared, plain, sensitive)[2]
    assert [problem.field for problem in problems] == [field]
    assert "hush" not in problems[0].message
    assert problems[0].remedy


def test_a_required_sensitive_input_is_asked_for_where_it_belongs() -> None:
    (problem,) = check_values(specs({"name": "s", "sensitive": True}), {}, {})[2]
    assert problem.field == "sensitive_inputs"


def test_an_input_with_a_wrong_name_is_told_what_may_be_meant() -> None:
    _, _, problems = check_values([InputSpec(name="domain", required=False)], {"domian": "x", "colour": "red"}, {})
    assert [problem.remedy for problem in problems] == [
        "Did you mean 'domain'?",
        "Declare the input on the app, or remove it here.",
    ]
