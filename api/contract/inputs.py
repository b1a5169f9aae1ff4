"""An app's inputs: what each install must or may say about itself, and the check of the values given."""

import json
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from api.contract.base import Json, Model, Name
from api.contract.problems import FieldProblem
from api.contract.secret_references import complaint, scheme_of

InputType = Literal["string", "number", "bool", "list", "map"]


class InputSpec(Model):
    """One typed input of an app."""

    name: Name = Field(description="The input's name: `{{ inputs.NAME }}` refers to it.")
    type: InputType = Field(default="string", description="string, number, bool, list or map.")
    description: str = Field(default="", description="What it is for; shown to whoever sets it.")
    group: str = Field(default="", max_length=63, description="The heading under which it is shown, such as `Network`.")
    default: Json = Field(default=None, description="Used where an install gives no value. Not allowed with `sensitive`.")
    required: bool = Field(default=True, description="Refuse an install that gives no value and has no default.")
    sensitive: bool = Field(default=False, description="Never shown, logged or stored in the clear.")


_ARTICLE: dict[InputType, str] = {
    "string": "a string",
    "number": "a number",
    "bool": "true or false",
    "list": "a list (as JSON)",
    "map": "a map (as JSON)",
}


class _WrongTypeError(ValueError):
    pass


def coerce(kind: InputType, value: Json) -> Json:
    """Turn `value` into the Python form of its declared type.

    A string is taken for any type if it spells a value of that type (`"80"`, `"true"`, `"[1,2]"`), because Terraform's
    `map(string)` has no other way to say it. Raises ValueError for anything else.
    """
    if kind == "string":
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _WrongTypeError
        return json.dumps(value, allow_nan=False)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise _WrongTypeError from None
    match kind:
        case "number":
            right = isinstance(value, int | float) and not isinstance(value, bool)
        case "bool":
            right = isinstance(value, bool)
        case "list":
            right = isinstance(value, list)
        case "map":
            right = isinstance(value, dict)
    if not right:
        raise _WrongTypeError
    json.dumps(value, allow_nan=False)  # Python reads NaN and Infinity, which are no JSON; raises ValueError
    return value


def check_specs(specs: list[InputSpec]) -> list[FieldProblem]:
    """What is wrong with an app's input declarations. Fields are `inputs.<name>.<part>`."""
    problems = []
    for spec in specs:
        at = f"inputs.{spec.name}"
        if sum(other.name == spec.name for other in specs) > 1:
            problems.append(FieldProblem(field=at, message=f"input {spec.name!r} is declared more than once"))
        if spec.default is not None:
            if spec.sensitive:
                problems.append(
                    FieldProblem(
                        field=f"{at}.default",
                        message="a sensitive input can't have a default, which would be stored in the clear",
                        remedy="Remove the default and give the value on the install.",
                    )
                )
                continue
            try:
                coerce(spec.type, spec.default)
            except ValueError:
                problems.append(
                    FieldProblem(field=f"{at}.default", message=f"expected {_ARTICLE[spec.type]}, got {spec.default!r}")
                )
    return problems


def _check_reference(spec: InputSpec, at: str, value: Json) -> FieldProblem | None:
    """A `ref+…` text stands for a value of any type: the agent resolves it, and the engine converts it."""
    wrong = complaint(value)
    if spec.sensitive:
        return (
            FieldProblem(field=at, message=f"input {spec.name!r}: {wrong}", remedy="Correct the reference.") if wrong else None
        )
    if wrong:  # some other text that happens to begin so
        return FieldProblem(field=at, message=f"input {spec.name!r} begins like a reference, but {wrong}")
    return FieldProblem(
        field=at,
        message=f"input {spec.name!r} isn't sensitive; only a sensitive input may be a reference (ref+…) for the agent",
        remedy="Declare the input `sensitive`, and give the reference in `sensitive_inputs`.",
    )


def _suggestion(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # rarely needed, and slow to load

    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def check_values(
    specs: list[InputSpec], plain: dict[str, Json], sensitive: dict[str, Json]
) -> tuple[dict[str, Json], dict[str, Json], list[FieldProblem]]:
    """Check an install's values against the app's inputs.

    Returns the plain values with defaults filled in, the sensitive ones, and what is wrong. Fields are `inputs.<name>` or
    `sensitive_inputs.<name>`. No message repeats a sensitive value.
    """
    problems: list[FieldProblem] = []
    known = {spec.name: spec for spec in specs}
    checked: dict[str, dict[str, Json]] = {"inputs": {}, "sensitive_inputs": {}}
    for where, values in (("inputs", plain), ("sensitive_inputs", sensitive)):
        for name, value in values.items():
            spec = known.get(name)
            at = f"{where}.{name}"
            if spec is None:
                declared = ", ".join(sorted(known)) or "none"
                problems.append(
                    FieldProblem(
                        field=at,
                        message=f"the app has no input {name!r}; it declares: {declared}",
                        remedy=_suggestion(name, known) or "Declare the input on the app, or remove it here.",
                    )
                )
                continue
            if spec.sensitive != (where == "sensitive_inputs"):
                right = "sensitive_inputs" if spec.sensitive else "inputs"
                problems.append(
                    FieldProblem(
                        field=at,
                        message=f"input {name!r} is declared {'sensitive' if spec.sensitive else 'not sensitive'}",
                        remedy=f"Give it in `{right}`.",
                    )
                )
                continue
            if scheme_of(value) is not None:
                problem = _check_reference(spec, at, value)
                if problem:
                    problems.append(problem)
                else:
                    checked[where][name] = value
                continue
            try:
                checked[where][name] = coerce(spec.type, value)
            except ValueError:
                got = "a value of another type" if spec.sensitive else f"got {value!r}"
                problems.append(
                    FieldProblem(
                        field=at,
                        message=f"input {name!r} expects {_ARTICLE[spec.type]}, {got}",
                        remedy=f"Give {_ARTICLE[spec.type]}.",
                    )
                )
    for spec in specs:
        where = "sensitive_inputs" if spec.sensitive else "inputs"
        if spec.name in plain or spec.name in sensitive:
            continue
        if spec.default is not None:
            checked[where][spec.name] = coerce(spec.type, spec.default)
        elif spec.required:
            problems.append(
                FieldProblem(
                    field=where,
                    message=f"input {spec.name!r} is required and has no default",
                    remedy=f"Set `{where}.{spec.name}` to {_ARTICLE[spec.type]}.",
                )
            )
    return checked["inputs"], checked["sensitive_inputs"], problems
