"""Render a component's variables in the customer's account, strictly: what can't be resolved stops the job before it runs."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from agent.failure import CodedError
from api.contract.base import Digest, Json
from api.contract.reference_grammar import Expression
from api.contract.references import InvalidReferenceError, MissingValueError, Reference, Value, evaluate_marked, render_marked
from api.contract.resources import ModuleVariable

_STRUCTURED = re.compile(r"\s*(list|map|set|object|tuple)\b")


class UnknownVariableError(CodedError):
    """The config sets a variable that the module doesn't declare."""

    code = "unknown_variable"


class UnresolvedReferenceError(CodedError):
    """A reference to something that doesn't exist, or doesn't exist yet."""

    code = "unresolved_reference"


class InvalidVariableError(CodedError):
    """A value that can't be of the variable's type."""

    code = "invalid_variable"


def _of_none(_: object) -> Collection[str]:
    return ()


def _forget(_: Json) -> None: ...


@dataclass(frozen=True)
class Scope:
    """What references can refer to. `outputs` gives a component's outputs, or None if it isn't deployed here.

    `sensitive_inputs` and `sensitive_outputs` name what no log may show; `learn` is told every value that was made of these.
    `component` is the one whose texts are rendered, for `self`: its outputs are known once it was applied.
    """

    install_id: str
    install_name: str
    inputs: Mapping[str, Json]
    outputs: Callable[[str], Mapping[str, Json] | None]
    digests: Mapping[str, Digest]
    secrets: Mapping[str, Json] = field(default_factory=dict)
    install_platform: str | None = None
    install_region: str | None = None
    install_labels: Mapping[str, str] = field(default_factory=dict)
    component: str = ""
    sensitive_inputs: Collection[str] = ()
    sensitive_outputs: Callable[[str], Collection[str]] = _of_none
    learn: Callable[[Json], None] = _forget

    def render(self, text: str) -> Json:
        """A text with its references replaced. Raises InvalidReferenceError, which never repeats a value."""
        return render_marked(text, self._marked, self.learn)

    def evaluate(self, expression: Expression) -> Json:
        """The value of one expression. Raises InvalidReferenceError, which never repeats a value."""
        return evaluate_marked(expression, self._marked, self.learn)

    def resolve(self, reference: Reference) -> Json:
        """The value of a reference. Raises InvalidReferenceError, which never repeats a value."""
        match reference.path:
            case ("inputs", name):
                if name not in self.inputs:
                    raise MissingValueError(f"the install has no value for input {name!r}; it has: {_names(self.inputs)}")
                return self.inputs[name]
            case ("secrets", name):
                if name not in self.secrets:
                    raise InvalidReferenceError(f"the job has no secret {name!r}; it has: {_names(self.secrets)}")
                return self.secrets[name]
            case ("install", "id"):
                return self.install_id
            case ("install", "name"):
                return self.install_name
            case ("install", "platform") if self.install_platform:
                return self.install_platform
            case ("install", "region") if self.install_region:
                return self.install_region
            case ("install", "labels", name) if name in self.install_labels:
                return self.install_labels[name]
            case ("install", *_):
                raise MissingValueError(f"the install has no {reference.install}")
            case ("self", "outputs", name):
                return self._output(self.component, name)
            case ("components", component, "outputs", name):
                return self._output(component, name)
            case ("components", component, "image", "digest") if component in self.digests:
                return self.digests[component]
            case ("components", component, "image", name):
                if "repository" not in (self.outputs(component) or {"repository": ""}):
                    raise InvalidReferenceError(f"{reference} has no value: component {component!r} is no image")
                return self._output(component, name)
        raise InvalidReferenceError(f"{reference} has no value in this install")

    def _output(self, component: str, name: str) -> Json:
        outputs = self.outputs(component)
        if outputs is None:
            raise InvalidReferenceError(f"component {component!r} is not deployed in this install", "Deploy it first.")
        if name not in outputs:
            raise InvalidReferenceError(f"component {component!r} has no output {name!r}; it has: {_names(outputs)}")
        return outputs[name]

    def _marked(self, reference: Reference) -> Value:
        match reference.path:
            case ("inputs", name):
                sensitive = name in self.sensitive_inputs
            case ("components", component, "outputs", name):
                sensitive = name in self.sensitive_outputs(component)
            case ("self", "outputs", name):
                sensitive = name in self.sensitive_outputs(self.component)
            case _:
                sensitive = reference.secret is not None
        return Value(self.resolve(reference), sensitive)


def render_variables(texts: Mapping[str, str], declared: Sequence[ModuleVariable], scope: Scope) -> dict[str, Json]:
    """The values to give to the engine.

    A text for a variable whose declared type is a list, map, set, object or tuple is read as JSON; the engine itself converts
    texts to numbers and booleans. Raises UnknownVariableError, UnresolvedReferenceError or InvalidVariableError, each with the
    field at fault.
    """
    types = {variable.name: variable.type for variable in declared}
    values: dict[str, Json] = {}
    for name, text in texts.items():
        field = f"config.variables.{name}"
        if name not in types:
            raise UnknownVariableError(
                f"the module declares no variable {name!r}; it declares: {_names(types)}",
                remedy="Remove it from the component's variables, or declare it in the module.",
                field=field,
            )
        try:
            value = scope.render(text)
        except InvalidReferenceError as error:
            raise UnresolvedReferenceError(f"variable {name!r}: {error}", remedy=error.remedy, field=field) from None
        values[name] = _structured(name, value, types[name]) if isinstance(value, str) else value
    return values


def render_environment(texts: Mapping[str, str], scope: Scope) -> dict[str, str]:
    """The variables of an environment; what isn't text stands there as JSON. Raises UnresolvedReferenceError."""
    values: dict[str, str] = {}
    for name, text in texts.items():
        try:
            value = scope.render(text)
        except InvalidReferenceError as error:
            raise UnresolvedReferenceError(
                f"environment variable {name!r}: {error}", remedy=error.remedy, field=f"config.environment.{name}"
            ) from None
        values[name] = value if isinstance(value, str) else json.dumps(value)
    return values


def _structured(name: str, text: str, constraint: str | None) -> Json:
    kind = _STRUCTURED.match(constraint or "")
    if not kind:
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        wrong = f"it is not JSON ({error.msg} at character {error.pos})"
    else:
        expected = dict if kind[1] in ("map", "object") else list
        if value is None or isinstance(value, expected):
            return value
        wrong = "it is JSON of another type"
    raise InvalidVariableError(
        f"variable {name!r} is declared as {' '.join((constraint or '').split())}, but the value given can't be one: {wrong}",
        remedy="Write lists and maps as JSON, for example with jsonencode().",
        field=f"config.variables.{name}",
    )


def _names(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"
