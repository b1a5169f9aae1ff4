"""References: `{{ components.network.outputs.id }}`, `{{ inputs.name | lower }}` and the like, found, checked and rendered.

The IMS reads them to order the components; the agent renders them, strictly: an unknown name is an error before anything
runs, and nothing is escaped. A text that is one expression and nothing else keeps the value's type; inside a longer text only
a text, a number or true and false can stand. No error repeats a value. The grammar is in `reference_grammar`.
"""

from collections.abc import Callable, Iterator, Mapping
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
    "find",
    "find_all",
    "render",
    "render_marked",
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
    parts = [_learnt(part, resolve, learn) for part in parse(text)]
    alone = [part for part in parts if not (isinstance(part, str) and not part.strip())]
    if len(alone) == 1 and not isinstance(alone[0], str):
        return alone[0].value
    return "".join(part if isinstance(part, str) else part.spelled for part in parts)


@dataclass(frozen=True)
class _Part:
    """The value of one expression of a text."""

    at: str
    value: Json

    @property
    def spelled(self) -> str:
        """The value inside the text. Raises InvalidReferenceError."""
        try:
            return spelled(self.value)
        except WrongValueError as error:
            raise InvalidReferenceError(f"{self.at}: {error}", error.remedy) from None


def _learnt(part: str | Expression, resolve: Callable[[Reference], Value], learn: Callable[[Json], None]) -> str | _Part:
    if isinstance(part, str):
        return part
    found = evaluate(part, resolve)
    if found.sensitive:
        learn(found.value)
    return _Part(part.at, found.value)


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
