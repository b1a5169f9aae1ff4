"""What the functions in references do. Pure, strict about types, and bounded; no error repeats a value."""

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Callable
from urllib.parse import quote

from api.contract.base import Json
from api.contract.reference_grammar import InvalidReferenceError

MAX_RESULT = 1024 * 1024
"""So many characters a text may have that a function makes."""


class MissingValueError(InvalidReferenceError):
    """A value that may be missing, and is: `default` can stand in for it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy or "Give the value, or say what stands in for it: `… | default('x')`.")


class WrongValueError(ValueError):
    """A value of the wrong type, or one that can't be read."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def call(function: str, arguments: list[Json]) -> Json:
    """The result of a function of `reference_grammar.FUNCTIONS`, other than `default`. Raises WrongValueError."""
    try:
        result = IMPLEMENTED[function](*arguments)
    except UnicodeEncodeError:
        raise WrongValueError(f"`{function}` was given a text that isn't Unicode: it has half of a pair") from None
    if isinstance(result, str) and len(result) > MAX_RESULT:
        raise _too_long(function)
    return result


def index(value: Json, key: str | int) -> Json:
    """An element of a list, or the value of a key. Raises WrongValueError, or MissingValueError if there is none."""
    if isinstance(key, int):
        items = _list("[…]", value)
        if key >= len(items):
            raise MissingValueError(f"the list has no element [{key}]: it has {len(items)}")
        return items[key]
    entries = _map(f".{key}", value)
    if key not in entries:
        raise MissingValueError(f"the map has no key {key!r}")
    return entries[key]


def spelled(value: Json) -> str:
    """A value inside a longer text. Raises WrongValueError for a list, a map or null."""
    match value:
        case str():
            return value
        case bool() | int() | float():
            return json.dumps(value)
        case None:
            raise WrongValueError("there is no value here: it is null", "Say what stands in for it: `… | default('x')`.")
    raise WrongValueError(f"{_kind(value)} can't stand in the middle of a text", "Write it as JSON: `… | to_json`.")


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
    return "a map"


def _text(function: str, value: Json) -> str:
    if not isinstance(value, str):
        raise WrongValueError(f"`{function}` takes a text, and was given {_kind(value)}", "Turn it into one: `to_json`.")
    return value


def _list(function: str, value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise WrongValueError(f"`{function}` takes a list, and was given {_kind(value)}")
    return value


def _map(function: str, value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise WrongValueError(f"`{function}` takes a map, and was given {_kind(value)}")
    return value


def _too_long(function: str) -> WrongValueError:
    return WrongValueError(f"the result of `{function}` would be longer than {MAX_RESULT} characters")


def _on_text(name: str, do: Callable[[str], Json]) -> Callable[[Json], Json]:
    return lambda value: do(_text(name, value))


def _b64decode(value: Json) -> str:
    try:
        return base64.b64decode(_text("b64decode", value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise WrongValueError("`b64decode` was given what isn't the base64 of a text") from None


def _from_json(value: Json) -> Json:
    try:
        found: Json = json.loads(_text("from_json", value), parse_constant=_finite, parse_float=_finite)
        json.dumps(found, ensure_ascii=False).encode()  # JSON can escape half of a surrogate pair, which nothing can write
    except (ValueError, RecursionError):
        raise WrongValueError("`from_json` was given what isn't JSON") from None
    return found


def _finite(written: str) -> float:
    """Python reads NaN, Infinity and 1e999, which are no JSON, or none that can be written again."""
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(written)
    return number


def _join(separator: Json, items: Json) -> str:
    between = _text("join", separator)
    texts = [spelled(item) for item in _list("join", items)]
    if sum(map(len, texts)) + len(between) * len(texts) > MAX_RESULT:
        raise _too_long("join")
    return between.join(texts)


def _split(separator: Json, value: Json) -> Json:
    between = _text("split", separator)
    if not between:
        raise WrongValueError("`split` takes a separator of at least one character")
    return _text("split", value).split(between)


def _replace(old: Json, new: Json, value: Json) -> str:
    sought, put, text = _text("replace", old), _text("replace", new), _text("replace", value)
    if not sought:
        raise WrongValueError("`replace` takes a text to look for of at least one character")
    if len(text) + text.count(sought) * len(put) > MAX_RESULT:
        raise _too_long("replace")
    return text.replace(sought, put)


def _indent(spaces: Json, value: Json) -> str:
    if isinstance(spaces, bool) or not isinstance(spaces, int) or not 0 <= spaces <= 100:
        raise WrongValueError("`indent` takes a whole number of spaces from 0 to 100")
    text = _text("indent", value)
    if len(text) + text.count("\n") * spaces > MAX_RESULT:
        raise _too_long("indent")
    return text.replace("\n", "\n" + " " * spaces)


def _length(value: Json) -> int:
    if isinstance(value, str | list | dict):
        return len(value)
    raise WrongValueError(f"`length` takes a text, a list or a map, and was given {_kind(value)}")


def _concat(*lists: Json) -> Json:
    return [item for each in lists for item in _list("concat", each)]


def _merge(*maps: Json) -> Json:
    return {key: value for each in maps for key, value in _map("merge", each).items()}


IMPLEMENTED: dict[str, Callable[..., Json]] = {
    "b64decode": _b64decode,
    "b64encode": _on_text("b64encode", lambda text: base64.b64encode(text.encode()).decode()),
    "concat": _concat,
    "from_json": _from_json,
    "indent": _indent,
    "join": _join,
    "keys": lambda value: sorted(_map("keys", value)),
    "length": _length,
    "lower": _on_text("lower", str.lower),
    "merge": _merge,
    "replace": _replace,
    "sha256": _on_text("sha256", lambda text: hashlib.sha256(text.encode()).hexdigest()),
    "split": _split,
    "to_json": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False),
    "trim": _on_text("trim", str.strip),
    "trim_prefix": lambda prefix, value: _text("trim_prefix", value).removeprefix(_text("trim_prefix", prefix)),
    "trim_suffix": lambda suffix, value: _text("trim_suffix", value).removesuffix(_text("trim_suffix", suffix)),
    "upper": _on_text("upper", str.upper),
    "url_encode": _on_text("url_encode", lambda text: quote(text, safe="")),
    "values": lambda value: [each for _, each in sorted(_map("values", value).items())],
}
