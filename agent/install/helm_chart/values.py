"""A chart's values with their references rendered, strictly."""

from collections.abc import Mapping

from agent.artifact.chart_values import chart_value, nested, structured
from agent.install.variables import Scope, UnresolvedReferenceError
from api.contract.base import Json
from api.contract.references import InvalidReferenceError, find, render


def render_values(texts: Mapping[str, str], scope: Scope) -> dict[str, Json]:
    """The values as helm takes them in a file. A text that is one reference and nothing else keeps the value's type.

    Raises UnresolvedReferenceError and ValuePathError, with the field at fault.
    """
    return nested({path: _value(path, text, scope) for path, text in texts.items()})


def _value(path: str, text: str, scope: Scope) -> Json:
    try:
        if not find(text):
            return chart_value(text)
        value = render(text, scope.resolve)
    except InvalidReferenceError as error:
        raise UnresolvedReferenceError(
            f"value {path!r}: {error}",
            remedy="Correct the reference, or deploy what it refers to first.",
            field=f"config.values.{path}",
        ) from None
    whole = text.strip().startswith("{{") and text.strip().endswith("}}") and text.count("{{") == 1
    return structured(value) if isinstance(value, str) and not whole else value
