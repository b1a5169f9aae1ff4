"""A chart's values with their references rendered, strictly."""

from collections.abc import Mapping

from agent.artifact.chart_values import chart_value, nested, structured
from agent.install.variables import Scope, UnresolvedReferenceError
from api.contract.base import Json
from api.contract.reference_grammar import Expression, parse
from api.contract.references import InvalidReferenceError, sole


def render_values(texts: Mapping[str, str], scope: Scope) -> dict[str, Json]:
    """The values as helm takes them in a file. A text that is one reference and nothing else keeps the value's type.

    Raises UnresolvedReferenceError and ValuePathError, with the field at fault.
    """
    return nested({path: _value(path, text, scope) for path, text in texts.items()})


def _value(path: str, text: str, scope: Scope) -> Json:
    try:
        parts = parse(text)
        if not any(isinstance(part, Expression) for part in parts):
            return chart_value(text)
        value = scope.render(text)
    except InvalidReferenceError as error:
        field = f"config.values.{path}"
        raise UnresolvedReferenceError(f"value {path!r}: {error}", remedy=error.remedy, field=field) from None
    return structured(value) if isinstance(value, str) and sole(parts) is None else value
