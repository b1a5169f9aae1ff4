"""References: `{{ components.network.outputs.id }}`, `{{ inputs.name | lower }}` and the like, found, checked and rendered.

The IMS reads them to order the components; the agent renders them, strictly: an unknown name is an error before anything
runs, and nothing is escaped. A text that is one expression and nothing else keeps the value's type; inside a longer text only
a text, a number or true and false can stand. No error repeats a value. The grammar is in `reference_grammar`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from api.contract.base import Json
from api.contract.reference_functions import MissingValueError, WrongValueError, call, index, spelled
from api.contract.reference_grammar import (
    Call,
    Expression,
    Index,
    InvalidReferenceError,
    Literal,
    Node,
    Reference,
    parse,
)

__all__ = [
    "InvalidReferenceError",
    "MissingValueError",
    "Reference",
    "Value",
    "evaluate",
    "evaluate_marked",
    "find",
    "find_all",
    "render",
    "render_marked",
    "sole",
    "within_text",
]


@dataclass(frozen=True)
class Value:
    """A value, and whether it, or anything that it was made of, is sensitive."""

    value: Json
    sensitive: bool = False


def find(text: str) -> list[Reference]:
    """All references in `text`, in order. Raises InvalidReferenceError for one that can't be read."""
    return [found for part in parse(text) if isinstance(part, Expression) for found in part.references()]


def find_all(texts: Mapping[str, str]) -> Iterator[tuple[str, Reference]]:
    """Every (field, reference) in a component's texts. Raises InvalidReferenceError."""
    for field, text in texts.items():
        for reference in find(text):
            yield field, reference


def render(text: str, resolve: Callable[[Reference], Json]) -> Json:
    """`text` with every expression replaced by its value.

    `resolve` gives the value of a reference. It raises InvalidReferenceError if there is none, or MissingValueError if it may
    be missing, and so `default` may stand in.
    """
    return render_marked(text, lambda reference: Value(resolve(reference)), lambda _: None)


def render_marked(text: str, resolve: Callable[[Reference], Value], learn: Callable[[Json], None]) -> Json:
    """The same; `learn` is told every value in it that is sensitive, or was made of one that is."""
    parts = parse(text)
    alone = sole(parts)
    if alone is not None:
        return evaluate_marked(alone, resolve, learn)
    return "".join(
        part if isinstance(part, str) else within_text(part, evaluate_marked(part, resolve, learn)) for part in parts
    )


def sole(parts: Sequence[str | Expression]) -> Expression | None:
    """The expression of a text that is that and nothing else: the text has its value, with its type."""
    alone = [part for part in parts if isinstance(part, Expression) or part.strip()]
    return alone[0] if len(alone) == 1 and isinstance(alone[0], Expression) else None


def within_text(expression: Expression, value: Json) -> str:
    """The value of an expression inside a longer text. Raises InvalidReferenceError for what can't stand there."""
    try:
        return spelled(value)
    except WrongValueError as error:
        raise InvalidReferenceError(f"{expression.at}: {error}", error.remedy) from None


def evaluate_marked(expression: Expression, resolve: Callable[[Reference], Value], learn: Callable[[Json], None]) -> Json:
    """The value of one expression; see `render_marked`."""
    found = evaluate(expression, resolve)
    if found.sensitive:
        learn(found.value)
    return found.value


def evaluate(expression: Expression, resolve: Callable[[Reference], Value]) -> Value:
    """The value of one expression, without values that are missing. Raises InvalidReferenceError, which says where."""
    try:
        return _value(expression.node, resolve)
    except MissingValueError as error:
        raise type(error)(f"{expression.at}: {error}", error.remedy) from None
    except WrongValueError as error:
        raise InvalidReferenceError(f"{expression.at}: {error}", error.remedy) from None


def _value(node: Node, resolve: Callable[[Reference], Value]) -> Value:
    match node:
        case Literal():
            return Value(node.value)
        case Reference():
            return resolve(node)
        case Index():
            of = _value(node.of, resolve)
            return Value(index(of.value, node.key), of.sensitive)
        case Call(function="default", arguments=(fallback, wanted)):
            try:
                value = _value(wanted, resolve)
            except MissingValueError:
                return _value(fallback, resolve)
            return _value(fallback, resolve) if value.value is None or value.value == "" else value
        case Call():
            arguments = [_value(argument, resolve) for argument in node.arguments]
            result = call(node.function, [argument.value for argument in arguments])
            return Value(result, any(argument.sensitive for argument in arguments))
