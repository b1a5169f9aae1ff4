"""The check of an app as a whole: references, and the graph that they make. Pure."""

import difflib
from collections.abc import Callable

from api.contract.components import ComponentConfig, template_texts
from api.contract.inputs import InputSpec
from api.contract.problems import FieldProblem
from api.contract.references import InvalidReferenceError, Reference, find


def references(config: ComponentConfig) -> dict[str, list[Reference]]:
    """The references of a config by field. Fields with none are left out. Raises InvalidReferenceError."""
    return {field: found for field, text in template_texts(config).items() if (found := find(text))}


def needs(config: ComponentConfig) -> set[str]:
    """The components that a checked config refers to."""
    return {ref.component for refs in references(config).values() for ref in refs if ref.component}


def input_names(config: ComponentConfig) -> set[str]:
    """The inputs that a checked config refers to."""
    return {ref.input for refs in references(config).values() for ref in refs if ref.input}


def suggestion(name: str, known: list[str]) -> str:
    """Did you mean …? Empty if nothing is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def check_config(
    name: str, config: ComponentConfig, inputs: list[InputSpec], other: Callable[[str], ComponentConfig | None]
) -> list[FieldProblem]:
    """What is wrong with one component's references, as far as it can be known before all components are there.

    `other(name)` gives another component's config, or None if there is none (yet): it may come later in the same
    `terraform apply`, and `check_release` has the last word. Fields begin with `config.`.
    """
    problems = []
    declared = sorted(spec.name for spec in inputs)
    for field, text in template_texts(config).items():
        at = f"config.{field}"
        try:
            found = find(text)
        except InvalidReferenceError as error:
            problems.append(FieldProblem(field=at, message=str(error), remedy="Correct the reference."))
            continue
        for ref in found:
            if ref.input and ref.input not in declared:
                problems.append(
                    FieldProblem(
                        field=at,
                        message=f"{ref} refers to an input that the app doesn't have; it has: {', '.join(declared) or 'none'}",
                        remedy=suggestion(ref.input, declared) or "Declare the input on the app, or correct the name.",
                    )
                )
            elif ref.component == name:
                problems.append(FieldProblem(field=at, message=f"{ref} refers to its own component", remedy="Remove it."))
            elif ref.component and (trail := _trail(ref.component, name, other)):
                problems.append(
                    FieldProblem(
                        field=at,
                        message=f"the components refer to each other in a cycle: {' → '.join([name, *trail])}",
                        remedy="Remove one of these references: a component can only use what is made before it.",
                    )
                )
    return problems


def _trail(start: str, goal: str, other: Callable[[str], ComponentConfig | None]) -> list[str] | None:
    """The way along references from one component to another, as names, or None."""
    came_from: dict[str, str | None] = {start: None}
    queue = [start]
    while queue:
        node = queue.pop(0)
        config = other(node)
        for needed in sorted(_needs_or_none(config)) if config else ():
            if needed == goal:
                trail = [goal]
                step: str | None = node
                while step is not None:
                    trail.insert(0, step)
                    step = came_from[step]
                return trail
            if needed not in came_from:
                came_from[needed] = node
                queue.append(needed)
    return None


def check_release(configs: dict[str, ComponentConfig], inputs: list[InputSpec]) -> list[FieldProblem]:
    """What is wrong with a set of components that is to be released. Fields begin with `components.<name>.`."""
    problems = []
    for name, config in configs.items():
        for problem in check_config(name, config, inputs, configs.get):
            field = problem.field.removeprefix("config.")
            problems.append(problem.model_copy(update={"field": f"components.{name}.{field}"}))
        try:
            by_field = references(config)
        except InvalidReferenceError:
            continue  # told by check_config
        for field, refs in by_field.items():
            for ref in refs:
                if ref.component and ref.component not in configs:
                    known = sorted(configs)
                    problems.append(
                        FieldProblem(
                            field=f"components.{name}.{field}",
                            message=f"{ref} refers to a component that isn't in the release, which has: {', '.join(known)}",
                            remedy=suggestion(ref.component, known) or "Add the component to the release, or correct the name.",
                        )
                    )
    return problems


def _needs_or_none(config: ComponentConfig) -> set[str]:
    try:
        return needs(config)
    except InvalidReferenceError:  # stored before the rules were stricter: its own next update tells
        return set()
