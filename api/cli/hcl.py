"""Writes HCL as `terraform fmt` would: values, attributes and blocks."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_KEYWORDS = frozenset({"for", "if", "in", "true", "false", "null"})
_END = "EOT"
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True)
class Expression:
    """HCL as it is: a reference, or a call."""

    text: str


@dataclass(frozen=True)
class JsonEncode:
    """`jsonencode(…)` of a list or a map."""

    of: Any


@dataclass(frozen=True)
class Attribute:
    """`name = value`."""

    name: str
    value: Any


@dataclass(frozen=True)
class Comment:
    """Lines that begin with `#`: about what comes next, or `alone`."""

    text: str
    alone: bool = False


@dataclass(frozen=True)
class Block:
    """`kind "label" { … }`. Where `body` is empty it is written on one line."""

    kind: str
    labels: tuple[str, ...] = ()
    body: "tuple[Attribute | Block | Comment, ...]" = ()


def document(items: Iterable[Block | Comment]) -> str:
    """A whole file."""
    return "\n".join(_body(items, "")) + "\n"


def identifier(text: str) -> str:
    """`text` as the name of a resource or a variable: what isn't allowed there becomes `_`."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", text)
    return name if _IDENTIFIER.fullmatch(name) else f"_{name}"


def quoted(text: str) -> str:
    """A string literal that means exactly `text`: nothing in it is taken for a template."""
    written = "".join(_ESCAPES.get(each) or (each if each.isprintable() or each == " " else _unicode(each)) for each in text)
    # `$${` is an escape, but after another `$` it isn't read as one.
    written = re.sub(r"(?<!\$)\$\{", "$${", re.sub(r"(?<=\$)\$\{", r"\\u0024{", written))
    written = re.sub(r"(?<!%)%\{", "%%{", re.sub(r"(?<=%)%\{", r"\\u0025{", written))
    return f'"{written}"'


def value(of: Any, indent: str = "") -> str:
    """Any value as an expression, whose later lines are indented by `indent`."""
    match of:
        case Expression(text):
            return text
        case JsonEncode(inner):
            return f"jsonencode({_inline(inner, indent)})"
        case str():
            return _heredoc(of) or quoted(of)
        case Mapping():
            entries = [(_key(name), one) for name, one in of.items()]
            return "\n".join(["{", *_assignments(entries, f"{indent}  "), f"{indent}}}"]) if entries else "{}"
        case list() | tuple():
            if all(isinstance(one, Expression | str | int | float | None) for one in of):
                return f"[{', '.join(_inline(one, indent) for one in of)}]"
            return "\n".join(["[", *(f"{indent}  {_inline(one, f'{indent}  ')}," for one in of), f"{indent}]"])
    return json.dumps(of)


def as_map_of_strings(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values as a `map(string)` holds them: strings as they are, numbers and flags as text, the rest by `jsonencode`."""
    return {name: as_string(one) for name, one in values.items()}


def as_string(of: Any) -> Any:
    """One JSON value as a string attribute holds it."""
    if of is None or isinstance(of, str):
        return of
    if isinstance(of, dict | list) and _encodes_the_same(of):
        return JsonEncode(of)
    return json.dumps(of, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def _encodes_the_same(of: Any) -> bool:
    """Whether `jsonencode` writes it as JSON libraries do: numbers that aren't whole have many spellings."""
    match of:
        case dict():
            return all(_encodes_the_same(one) for one in of.values())
        case list():
            return all(_encodes_the_same(one) for one in of)
        case bool() | str() | None:
            return True
        case int():
            return abs(of) < 2**53
    return False


def _inline(of: Any, indent: str) -> str:
    """A value within another one, where a heredoc can't stand."""
    return quoted(of) if isinstance(of, str) else value(of, indent)


def _key(name: str) -> str:
    if _IDENTIFIER.fullmatch(name) and name not in _KEYWORDS:
        return name
    # In ASCII, or columns couldn't be counted as `terraform fmt` counts them.
    return "".join(one if one.isascii() else _unicode(one) for one in quoted(name))


def _unicode(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _heredoc(text: str) -> str | None:
    """Several whole lines as a heredoc, or None where it would not mean the same."""
    lines = text.split("\n")
    whole = len(lines) > 2 and lines[-1] == ""
    plain = all(character.isprintable() or character == "\n" for character in text) and "$${" not in text and "%%{" not in text
    if not whole or not plain or any(line.strip() == _END for line in lines):
        return None
    return f"<<{_END}\n{text.replace('${', '$${').replace('%{', '%%{')}{_END}"


def _lines(item: Attribute | Block | Comment, indent: str) -> Iterator[str]:
    match item:
        case Comment(text):
            yield from (f"{indent}# {line}".rstrip() for line in text.splitlines())
        case Attribute(name, of):
            yield from _assignments([(name, of)], indent)
        case Block(kind, labels, body):
            head = " ".join([f"{indent}{kind}", *map(quoted, labels)])
            if not body:
                yield f"{head} {{}}"
                return
            yield f"{head} {{"
            yield from _body(body, f"{indent}  ")
            yield f"{indent}}}"


def _body(items: Iterable[Attribute | Block | Comment], indent: str) -> Iterator[str]:
    """Attributes that follow each other are aligned; blocks stand apart, with the comments about them."""
    chain: list[tuple[str, Any]] = []
    before: Attribute | Block | Comment | None = None
    for item in items:
        if isinstance(item, Attribute):
            if isinstance(before, Block):
                yield ""
            chain.append((item.name, item.value))
        else:
            yield from _assignments(chain, indent)
            chain = []
            if before is not None and (not isinstance(before, Comment) or before.alone):
                yield ""
            yield from _lines(item, indent)
        before = item
    yield from _assignments(chain, indent)


def _assignments(entries: list[tuple[str, Any]], indent: str) -> Iterator[str]:
    """`name = value` for each entry: those of one line aligned with their neighbours, a longer one apart from them."""
    written = [(name, value(of, indent)) for name, of in entries]
    for at, (name, text) in enumerate(written):
        if at and ("\n" in text) != ("\n" in written[at - 1][1]):
            yield ""
        width = len(name) if "\n" in text else max(len(each) for each in _neighbours(written, at))
        yield f"{indent}{name.ljust(width)} = {text}"


def _neighbours(written: list[tuple[str, str]], at: int) -> Iterator[str]:
    """The names of the entries of one line that stand with this one."""
    first = at
    while first and "\n" not in written[first - 1][1]:
        first -= 1
    for name, text in written[first:]:
        if "\n" in text:
            return
        yield name
