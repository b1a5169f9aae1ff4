"""Selectors: `region=eu,tier!=free,env in (a,b),!canary`. Pure; the grammar and its meaning are Kubernetes'."""

import re
from dataclasses import dataclass
from typing import Literal

from api.contract.labels import KEY, KEY_RULE, VALUE, VALUE_RULE
from api.contract.problems import InvalidError

Operator = Literal["in", "notin", "exists", "missing"]
MAX_REQUIREMENTS = 32
MAX_VALUES = 100

_WORD = re.compile(r"[A-Za-z0-9._/-]+")
_SPACE = re.compile(r"\s*")
_SIGN = re.compile(r"==|!=|=")


@dataclass(frozen=True)
class Requirement:
    """One condition on one label. `notin` holds also where the label is missing."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether labels meet it; what the database is asked must say the same."""
        match self.operator:
            case "exists":
                return self.key in labels
            case "missing":
                return self.key not in labels
            case "in":
                return labels.get(self.key) in self.values
            case "notin":
                return labels.get(self.key) not in self.values


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def wrong(self, expected: str, at: int | None = None) -> InvalidError:
        at = self.at if at is None else at
        found = repr(self.text[at]) if at < len(self.text) else "the end"
        message = f"at position {at + 1}, expected {expected}, found {found}"
        return InvalidError.at("selector", message, "Write it like `region=eu,tier!=free,env in (a,b),canary,!old`.")

    def space(self) -> None:
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]

    def take(self, token: str) -> bool:
        self.space()
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def sign(self) -> str:
        self.space()
        found = _SIGN.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found.group() if found else ""

    def word(self) -> tuple[str, int]:
        self.space()
        begin = self.at
        found = _WORD.match(self.text, begin)
        self.at = found.end() if found else begin
        return (found.group() if found else ""), begin

    def key(self) -> str:
        word, begin = self.word()
        if not word:
            raise self.wrong("a label's key")
        if not KEY.fullmatch(word):
            raise self.wrong(f"a label's key ({KEY_RULE})", begin)
        return word

    def value(self) -> str:
        word, begin = self.word()
        if not VALUE.fullmatch(word):
            raise self.wrong(f"a label's value ({VALUE_RULE})", begin)
        return word

    def ended(self) -> bool:
        self.space()
        return self.at == len(self.text)


def parse(text: str) -> list[Requirement]:
    """The requirements of a selector, which must all hold. Raises InvalidError that names the position, from 1."""
    reader = _Reader(text)
    found: list[Requirement] = []
    while not (found == [] and reader.ended()):
        found.append(_requirement(reader))
        if len(found) > MAX_REQUIREMENTS:
            raise reader.wrong(f"at most {MAX_REQUIREMENTS} requirements")
        if reader.ended():
            break
        if not reader.take(","):
            raise reader.wrong("a comma or the end")
    return found


def _requirement(reader: _Reader) -> Requirement:
    if reader.take("!"):
        return Requirement(reader.key(), "missing")
    key = reader.key()
    if sign := reader.sign():
        return Requirement(key, "notin" if sign == "!=" else "in", (reader.value(),))
    before = reader.at
    word, begin = reader.word()
    if not word:
        reader.at = before
        return Requirement(key, "exists")
    if word not in ("in", "notin"):
        raise reader.wrong("`=`, `!=`, `in`, `notin`, a comma or the end", begin)
    return Requirement(key, "in" if word == "in" else "notin", _values(reader))


def _values(reader: _Reader) -> tuple[str, ...]:
    if not reader.take("("):
        raise reader.wrong("`(`")
    values = [reader.value()]
    while reader.take(","):
        values.append(reader.value())
        if len(values) > MAX_VALUES:
            raise reader.wrong(f"at most {MAX_VALUES} values")
    if not reader.take(")"):
        raise reader.wrong("a comma or `)`")
    return tuple(values)
