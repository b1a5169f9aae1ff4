# Copied from api/contract/reference_grammar.py. Edit that one; see its first lines.
"""The grammar of references: `{{ inputs.name | lower }}`, `{{ join(",", components.network.outputs.zones) }}`.

    expression := value ("|" call)*      a pipe gives what is before it as the last argument of the call after it
    value      := (literal | path | call | "(" expression ")") accessor*
    call       := NAME "(" (expression ("," expression)*)? ")"; after a pipe, a NAME alone
    accessor   := "." NAME | "[" INTEGER "]" | "[" TEXT "]"
    literal    := TEXT in " or ', NUMBER, true, false, null

There are no loops, no conditions and no names but those of `ROOTS`: an expression can only pick and reshape what is there.
What an expression means is in `references`. The Terraform provider has a copy of this file, which is why it imports next to
nothing: edit the one in `api/contract`, then run `python -m api.contract.provider_schema`.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from provider_bridge.resources.reference_names import (
    ELSEWHERE,
    FUNCTIONS,
    IMAGE_FIELDS,
    INSTALL_FIELDS,
    ROOTS,
    NoEquivalentError,
    Path,
    translated,
)

MAX_EXPRESSION = 4096
MAX_DEPTH = 24
MAX_NODES = 200

_STATEMENTS = ("block", "define", "else", "end", "for", "if", "range", "set", "template", "with")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_WORD = re.compile(
    r"""\s*(?:(?P<close>\}\})|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\['\\])*')|(?P<number>-?\d+(?:\.\d+)?)"""
    r"""|(?P<name>[A-Za-z_][A-Za-z0-9_-]*)|(?P<sign>[().,|\[\]]))"""
)


class InvalidReferenceError(ValueError):
    """A reference that can't be read or resolved. The text says where and what is wrong, the remedy what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy or "Correct the reference."


@dataclass(frozen=True)
class Reference:
    """One reference. `path` is its dotted parts: `("components", "network", "outputs", "id")`.

    `optional`: a `default` stands ready for the case that it has no value.
    """

    path: tuple[str, ...]
    optional: bool = False

    def __str__(self) -> str:
        return "{{ " + ".".join(self.path) + " }}"

    @property
    def component(self) -> str | None:
        """The component that it refers to, if it refers to one."""
        return self.path[1] if self.path[0] == "components" else None

    @property
    def input(self) -> str | None:
        """The input that it refers to, if it refers to one."""
        return self.path[1] if self.path[0] == "inputs" else None

    @property
    def install(self) -> str | None:
        """What it refers to of the install, if it refers to that: `region`, `labels.tier`."""
        return ".".join(self.path[1:]) if self.path[0] == "install" else None

    @property
    def secret(self) -> str | None:
        """The named secret that it refers to, if it refers to one."""
        return self.path[1] if self.path[0] == "secrets" else None


@dataclass(frozen=True)
class Literal:
    """A value that stands in the expression itself."""

    value: str | int | float | bool | None


@dataclass(frozen=True)
class Index:
    """One element of a list, counted from 0, or the value of a key of a map."""

    of: "Node"
    key: str | int


@dataclass(frozen=True)
class Call:
    """A function's result. Its name is known, and so many arguments are right."""

    function: str
    arguments: tuple["Node", ...]


Node = Literal | Reference | Index | Call


@dataclass(frozen=True)
class Expression:
    """What stands between two braces. `at` says where, in words: `character 7`."""

    node: Node
    at: str

    def references(self) -> Iterator[Reference]:
        """Every reference in it, in order."""
        yield from _references(self.node, optional=False)


def _references(node: Node, *, optional: bool) -> Iterator[Reference]:
    match node:
        case Reference():
            yield replace(node, optional=True) if optional else node
        case Index():
            yield from _references(node.of, optional=optional)
        case Call():
            for number, argument in enumerate(node.arguments):
                yield from _references(argument, optional=optional or (node.function == "default" and number == 1))


def parse(text: str) -> tuple[str | Expression, ...]:
    """A text as its parts: plain text and expressions, in order. Raises InvalidReferenceError."""
    if "{{" not in text:
        return (text,) if text else ()
    return _parse_kept(text) if len(text) <= MAX_EXPRESSION else _parse(text)


def _parse(text: str) -> tuple[str | Expression, ...]:
    parts: list[str | Expression] = []
    at = 0
    while (begin := text.find("{{", at)) >= 0:
        if begin > at:
            parts.append(text[at:begin])
        expression, at = _Reader(text, begin).read()
        parts.append(expression)
    if at < len(text):
        parts.append(text[at:])
    return tuple(parts)


_parse_kept = lru_cache(maxsize=4096)(_parse)


def readable(text: str) -> list[Reference]:
    """Every reference in a text, in order; none if one of them can't be read."""
    try:
        return [ref for part in parse(text) if isinstance(part, Expression) for ref in part.references()]
    except InvalidReferenceError:
        return []


def malformed(text: str) -> InvalidReferenceError | None:
    """What is wrong with the first reference in `text` that can't be read; None if all can."""
    try:
        parse(text)
    except InvalidReferenceError as error:
        return error
    return None


class _Reader:
    """Reads one expression of `text`, which begins with the braces at `begin`."""

    def __init__(self, text: str, begin: int) -> None:
        self._text, self._begin = text, begin
        self._next = begin + 2
        self._depth = self._nodes = 0
        self._kind, self._word, self._from = "", "", begin
        self._advance()

    def read(self) -> tuple[Expression, int]:
        """The expression, and where the text goes on after it."""
        if self._kind == "close":
            raise self._wrong(f"there is nothing between the braces; allowed are {', '.join(ROOTS)}")
        node = self._expression()
        if self._kind != "close":
            raise self._unexpected()
        return Expression(node, self._place(self._begin)), self._next

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"it is nested more than {MAX_DEPTH} deep")
        node = self._value()
        while self._take("|"):
            if self._kind != "name":
                raise self._wrong("after `|` comes the name of a function")
            name, at = self._word, self._from
            self._advance()
            node = self._call(name, at, (*(self._arguments() if self._take("(") else ()), node))
        self._depth -= 1
        return node

    def _value(self) -> Node:
        kind, word, at = self._kind, self._word, self._from
        self._advance()
        node: Node
        match kind:
            case "text":
                node = Literal(self._unquoted(word, at))
            case "number":
                node = Literal(float(word) if "." in word else int(word))
            case "name" if word in ("true", "false", "null"):
                node = Literal({"true": True, "false": False, "null": None}[word])
            case "name" if self._take("("):
                node = self._call(word, at, self._arguments())
            case "name" if word in _STATEMENTS and not self._is("."):
                raise self._wrong(
                    f"`{word}` is no reference: there are no conditions and no loops here", at, "Use `default`, or an input."
                )
            case "name":
                return self._rooted((word, *self._accessors()), at)
            case "sign" if word == "(":
                node = self._expression()
                self._expect(")")
            case "sign" if word == "." and self._word == "nuon":
                self._advance()
                return self._rooted((".nuon", *self._accessors()), at)
            case _:
                self._kind, self._word, self._from = kind, word, at
                raise self._unexpected()
        return self._indexed(node, self._accessors())

    def _arguments(self) -> tuple[Node, ...]:
        """The arguments of a call, whose opening parenthesis is taken already."""
        found: list[Node] = []
        while not self._take(")"):
            if found:
                self._expect(",")
            found.append(self._expression())
        return tuple(found)

    def _accessors(self) -> Path:
        found: list[str | int] = []
        while self._is(".") or self._is("["):
            bracket = self._word == "["
            self._advance()
            if not bracket and self._kind == "name":
                found.append(self._word)
            elif bracket and self._kind == "text":
                found.append(self._unquoted(self._word, self._from))
            elif bracket and self._kind == "number" and self._word.isdigit():
                found.append(int(self._word))
            else:
                raise self._wrong("after `.` comes a name, and in brackets a number from 0 or a text in quotes")
            self._advance()
            if bracket:
                self._expect("]")
        return tuple(found)

    def _call(self, name: str, at: int, arguments: tuple[Node, ...]) -> Node:
        if name not in FUNCTIONS:
            near = ELSEWHERE.get(name) or next((f"`{each}`" for each in _near(name)), "")
            raise self._wrong(
                f"there is no function `{name}`; there are: {', '.join(FUNCTIONS)}", at, f"Did you mean {near}?" if near else ""
            )
        wanted = FUNCTIONS[name]
        many = wanted[-1].endswith("…")
        if len(arguments) != len(wanted) and not (many and arguments):
            count = "at least one value" if many else f"{len(wanted)} value{'s' * (len(wanted) > 1)}"
            raise self._wrong(
                f"`{name}` takes {count}, and was given {len(arguments)}",
                at,
                f"Write `{name}({', '.join(wanted)})`; a pipe gives the last one: `{wanted[-1]} | {_piped(name, wanted)}`.",
            )
        return self._counted(Call(name, arguments))

    def _rooted(self, path: Path, at: int) -> Node:
        """A path as the reference that it begins with, and what is taken out of its value."""
        written = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in path).removeprefix(".")
        if path[0] == ".nuon":
            try:
                path = translated(path[1:])
            except NoEquivalentError as error:
                raise self._wrong(f"{{{{ {written} }}}} has no equivalent here", at, str(error)) from None
        match path:
            case ("inputs" | "secrets", str(), *_):
                length = 2
            case ("install", field, *_) if field in INSTALL_FIELDS:
                length = 2
            case ("install", "labels", str(), *_) | ("self", "outputs", str(), *_):
                length = 3
            case ("components", str(), "outputs", str(), *_):
                length = 4
            case ("components", str(), "image", field, *_) if field in IMAGE_FIELDS:
                length = 4
            case _:
                remedy = f"Write `{written}(…)`, or put it after a pipe." if written in FUNCTIONS else _meant(path)
                raise self._wrong(f"{{{{ {written} }}}} is not known; allowed are {', '.join(ROOTS)}", at, remedy)
        names = tuple(str(part) for part in path[:length])
        if not all(_NAME.fullmatch(name) for name in names):
            raise self._wrong(f"{{{{ {written} }}}} has a name that can't be one: letters, digits, `-` and `_`", at)
        if len(path) > length and names[0] != "inputs" and "outputs" not in names:
            raise self._wrong(f"{{{{ {written} }}}} is not known: {'.'.join(names)} is a text, such as inputs.NAME may be", at)
        return self._indexed(Reference(names), path[length:])

    def _indexed(self, node: Node, keys: Path) -> Node:
        for key in keys:
            node = self._counted(Index(node, key))
        return node

    def _counted(self, node: Node) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._wrong(f"it has more than {MAX_NODES} parts", self._begin)
        return node

    def _advance(self) -> None:
        match = _WORD.match(self._text, self._next)
        if self._next - self._begin > MAX_EXPRESSION:
            raise self._wrong(f"it is longer than {MAX_EXPRESSION} characters", self._begin)
        if match is None:
            rest = self._text[self._next :].lstrip()
            self._from = len(self._text) - len(rest)
            if not rest:
                raise self._wrong("`{{` is never closed", self._begin, 'Write `}}`; for two braces as they are, `{{ "{{" }}`.')
            raise self._unexpected(rest[0])
        self._kind, self._word = match.lastgroup or "", match[match.lastgroup or 0]
        self._from, self._next = match.start(match.lastgroup or 0), match.end()

    def _is(self, sign: str) -> bool:
        return self._kind == "sign" and self._word == sign

    def _take(self, sign: str) -> bool:
        if not self._is(sign):
            return False
        self._advance()
        return True

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self._wrong(f"`{sign}` is expected before `{self._word}`")

    def _unquoted(self, word: str, at: int) -> str:
        if word[0] == "'":
            return re.sub(r"\\(.)", r"\1", word[1:-1])
        try:
            value = str(json.loads(word))
            value.encode()  # JSON can escape half of a surrogate pair
        except ValueError:
            raise self._wrong("this text has an escape that JSON doesn't know", at) from None
        return value

    def _unexpected(self, word: str = "") -> InvalidReferenceError:
        if (word or self._word) == "}":
            return self._wrong("`{{` is closed by two braces, and here is one", remedy="Write `}}`.")
        what = f"`{word or self._word}` can't stand here; allowed are {', '.join(ROOTS)}, with functions and pipes"
        return self._wrong(what, remedy="A function's arguments stand in parentheses: `join(',', inputs.zones)`.")

    def _wrong(self, what: str, at: int | None = None, remedy: str = "") -> InvalidReferenceError:
        return InvalidReferenceError(f"{self._place(self._from if at is None else at)}: {what}", remedy)

    def _place(self, at: int) -> str:
        line, column = self._text.count("\n", 0, at) + 1, at - self._text.rfind("\n", 0, at)
        return f"line {line}, character {column}" if "\n" in self._text else f"character {column}"


def _near(name: str, known: Iterable[str] = FUNCTIONS) -> list[str]:
    from difflib import get_close_matches  # rarely needed, and slow to load

    return get_close_matches(name, known, n=1)


def _meant(path: Path) -> str:
    near = _near(str(path[0]), {root.partition(".")[0] for root in ROOTS} - {path[0]})
    return f"Did you mean `{'.'.join(map(str, (*near, *path[1:])))}`?" if near else ""


def _piped(name: str, wanted: tuple[str, ...]) -> str:
    return f"{name}({', '.join(wanted[:-1])})" if len(wanted) > 1 else name
