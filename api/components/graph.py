"""The check of an app as a whole: references, and the graph that they make. Pure."""

import contextlib
import difflib
from collections.abc import Collection, Mapping

from api.contract.components import IMAGE_KINDS, ComponentConfig, secret_texts, template_texts
from api.contract.inputs import InputSpec
from api.contract.problems import FieldProblem
from api.contract.references import InvalidReferenceError, Reference, find


def references(config: ComponentConfig) -> dict[str, list[Reference]]:
    """The references of a config by field. Fields with none are left out. Raises InvalidReferenceError."""
    return {field: found for field, text in template_texts(config).items() if (found := find(text))}


def readable_references(config: ComponentConfig) -> dict[str, list[Reference]]:
    """The same without the fields that can't be read, which `check_config` reports."""
    found = {}
    for field, text in template_texts(config).items():
        with contextlib.suppress(InvalidReferenceError):
            found[field] = find(text)
    return {field: refs for field, refs in found.items() if refs}


def needs(config: ComponentConfig) -> set[str]:
    """The components that a checked config refers to."""
    return {ref.component for refs in references(config).values() for ref in refs if ref.component}


def input_names(config: ComponentConfig) -> set[str]:
    """The inputs that a checked config refers to."""
    return {ref.input for refs in references(config).values() for ref in refs if ref.input}


def install_fields(config: ComponentConfig) -> set[str]:
    """The fields of its install that a checked config refers to."""
    return {ref.install for refs in references(config).values() for ref in refs if ref.install}


def check_given(
    configs: dict[str, ComponentConfig], left_out: Collection[str], place: Mapping[str, str | None]
) -> list[FieldProblem]:
    """References to what an install doesn't give or say of itself, where no `default` stands ready.

    `left_out` are inputs without a value; `place` is what the install says. Fields begin with `components.<name>.`.
    """
    problems = []
    for component, config in configs.items():
        for field, refs in readable_references(config).items():
            for ref in refs:
                if ref.optional:
                    continue
                if ref.install not in (None, "id", "name") and place.get(ref.install) is None:
                    what, remedy = f"no {ref.install}", f"Give the install a `{ref.install}`"
                elif ref.input in left_out:
                    what, remedy = f"no value for input {ref.input!r}", f"Give the install `inputs.{ref.input}`"
                else:
                    continue
                problems.append(
                    FieldProblem(
                        field=f"components.{component}.{field}",
                        message=f"{ref} has no value: the install has {what}",
                        remedy=f"{remedy}, or say what stands in for it: `… | default('x')`.",
                    )
                )
    return problems


def secret_fields(config: ComponentConfig) -> dict[str, list[str]]:
    """The named secrets that a config refers to, by field."""
    found = {field: [ref.secret for ref in refs if ref.secret] for field, refs in readable_references(config).items()}
    found.update((field, [name]) for field, name in secret_texts(config).items())
    return {field: names for field, names in found.items() if names}


def secret_names(config: ComponentConfig) -> set[str]:
    """The named secrets that a checked config refers to."""
    return {name for names in secret_fields(config).values() for name in names}


def check_secrets(configs: dict[str, ComponentConfig], known: set[str]) -> list[FieldProblem]:
    """References to secrets that don't exist. Fields begin with `components.<name>.`."""
    return [
        FieldProblem(
            field=f"components.{component}.{field}",
            message=f"there is no secret {name!r} that may be used here; there are: {', '.join(sorted(known)) or 'none'}",
            remedy=suggestion(name, sorted(known)) or f"Set it with `exclave secrets set {name}`, or correct the name.",
        )
        for component, config in configs.items()
        for field, names in secret_fields(config).items()
        for name in names
        if name not in known
    ]


def suggestion(name: str, known: list[str]) -> str:
    """Did you mean …? Empty if nothing is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def check_config(name: str, config: ComponentConfig, inputs: list[InputSpec] | None) -> list[FieldProblem]:
    """What is wrong with one component's references, seen alone. Fields begin with `config.`. None: inputs aren't looked at.

    Other components may come or change later in the same `terraform apply`: `check_release` looks at them.
    """
    problems = []
    declared = sorted(spec.name for spec in inputs or ())
    for field, text in template_texts(config).items():
        at = f"config.{field}"
        try:
            found = find(text)
        except InvalidReferenceError as error:
            problems.append(FieldProblem(field=at, message=str(error), remedy=error.remedy))
            continue
        for ref in found:
            if ref.path[0] == "self" and not field.startswith("probes."):
                problems.append(
                    FieldProblem(
                        field=at,
                        message=f"{ref} is known only after the component was applied: only its probes can use it",
                        remedy="Use an output of another component: `{{ components.NAME.outputs.NAME }}`.",
                    )
                )
            if ref.input and inputs is not None and ref.input not in declared:
                problems.append(
                    FieldProblem(
                        field=at,
                        message=f"{ref} refers to an input that the app doesn't have; it has: {', '.join(declared) or 'none'}",
                        remedy=suggestion(ref.input, declared) or "Declare the input on the app, or correct the name.",
                    )
                )
            elif ref.component == name:
                problems.append(FieldProblem(field=at, message=f"{ref} refers to its own component", remedy="Remove it."))
    return problems


def check_release(
    configs: dict[str, ComponentConfig], inputs: list[InputSpec] | None, unread: Collection[str] = ()
) -> list[FieldProblem]:
    """What is wrong with a set of components that is to be released. Fields begin with `components.<name>.`.

    `unread` names components that are there, too, but whose configs can't be looked at. See `check_config` for inputs of None.
    """
    known = sorted({*configs, *unread})
    problems = []
    for name, config in configs.items():
        for problem in check_config(name, config, inputs):
            field = problem.field.removeprefix("config.")
            problems.append(problem.model_copy(update={"field": f"components.{name}.{field}"}))
    for name, config in configs.items():
        for field, refs in readable_references(config).items():
            problems += [
                FieldProblem(
                    field=f"components.{name}.{field}",
                    message=f"{ref} refers to an image, but {ref.component} is of kind {configs[ref.component].kind}",
                    remedy="Refer to one of its outputs: `{{ components.NAME.outputs.NAME }}`.",
                )
                for ref in refs
                if ref.component in configs and ref.path[2] == "image" and configs[ref.component].kind not in IMAGE_KINDS
            ]
            problems += [
                FieldProblem(
                    field=f"components.{name}.{field}",
                    message=f"{ref} refers to a component that isn't in the release, which has: {', '.join(known)}",
                    remedy=suggestion(ref.component, known) or "Add the component to the release, or correct the name.",
                )
                for ref in refs
                if ref.component and ref.component not in known
            ]
    return problems + _cycles({name: _to_others(name, config, configs) for name, config in configs.items()})


def _to_others(name: str, config: ComponentConfig, configs: Collection[str]) -> dict[str, list[Reference]]:
    """The references to other components whose configs are known: any other reference is no part of a cycle."""
    others = set(configs) - {name}
    return {field: [ref for ref in refs if ref.component in others] for field, refs in readable_references(config).items()}


def _cycles(references_of: dict[str, dict[str, list[Reference]]]) -> list[FieldProblem]:
    """A problem for each reference that closes a cycle of components."""
    edges = {
        name: {ref.component for refs in fields.values() for ref in refs if ref.component}
        for name, fields in references_of.items()
    }
    return [
        FieldProblem(
            field=f"components.{name}.{field}",
            message=f"the components refer to each other in a cycle: {' → '.join([name, *trail])}",
            remedy="Remove one of these references: a component can only use what is made before it.",
        )
        for name, fields in references_of.items()
        for field, refs in fields.items()
        for ref in refs
        if ref.component and (trail := _trail(ref.component, name, edges))
    ]


def _trail(start: str, goal: str, edges: dict[str, set[str]]) -> list[str] | None:
    """The shortest way along edges from one name to another, both included, or None."""
    trails = [[start]]
    seen = {start}
    while trails:
        trail = trails.pop(0)
        for needed in sorted(edges[trail[-1]]):
            if needed == goal:
                return [*trail, goal]
            if needed not in seen:
                seen.add(needed)
                trails.append([*trail, needed])
    return None
