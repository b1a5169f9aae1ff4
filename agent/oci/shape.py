"""Read JSON that others wrote, by its shape. The standard library is enough: pydantic is a quarter of what a copy needs."""

import json
import re
from typing import NoReturn

_ANY = re.compile(r"(?s:.*)")


class ShapeError(ValueError):
    """The document isn't of the shape that is read. The text names the field."""


class Fields:
    """The fields of one JSON object; `at` is where it stands. Null counts as left out: so programs in Go write what is empty.

    Every method raises ShapeError for a field of another type, and where there is neither a field nor a default.
    """

    def __init__(self, document: object, at: str = "") -> None:
        if not isinstance(document, dict):
            raise ShapeError(f"{at or 'the document'} is no object")
        self._fields = {name: value for name, value in document.items() if value is not None}
        self._at = at

    @classmethod
    def read(cls, data: bytes) -> "Fields":
        """The object that `data` is, in UTF-8 and without what JSON doesn't have (RFC 8259), such as NaN."""
        try:
            text = data.decode()
            document = json.loads(text, parse_constant=_no_json)
            if "\\u" in text:
                json.dumps(document, ensure_ascii=False).encode()  # half of a surrogate pair couldn't be written again
        except (ValueError, RecursionError) as error:
            raise ShapeError(f"the document is no JSON: {error}") from None
        return cls(document)

    def text(self, name: str, default: str | None = None, *, like: re.Pattern[str] = _ANY) -> str:
        """A string, which is `like` from its beginning to its end."""
        value = self._fields.get(name, default)
        if not isinstance(value, str) or not like.fullmatch(value):
            raise self._wrong(name, "a string" if like is _ANY else f"like {like.pattern}")
        return value

    def count(self, name: str) -> int:
        """A whole number that isn't negative."""
        value = self._fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._wrong(name, "a whole number from 0 on")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A number."""
        value = self._fields.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(name, "a number")
        return value

    def texts(self, name: str) -> dict[str, str]:
        """An object of strings; empty if it is left out."""
        value = self._fields.get(name, {})
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise self._wrong(name, "an object of strings")
        return value

    def part(self, name: str) -> "Fields | None":
        """An object, or None if it is left out."""
        return Fields(self._fields[name], self._path(name)) if name in self._fields else None

    def parts(self, name: str) -> "list[Fields]":
        """A list of objects; empty if it is left out."""
        value = self._fields.get(name, [])
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return [Fields(each, self._path(f"{name}.{index}")) for index, each in enumerate(value)]

    def others(self, *names: str) -> dict[str, object]:
        """All fields but these, as they are."""
        return {name: value for name, value in self._fields.items() if name not in names}

    def _path(self, name: str) -> str:
        return f"{self._at}.{name}" if self._at else name

    def _wrong(self, name: str, wanted: str) -> ShapeError:
        return ShapeError(f"{self._path(name)} {'is not' if name in self._fields else 'is missing; it must be'} {wanted}")


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} stands there")
