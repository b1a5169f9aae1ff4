"""The parts of a `ref+…` text, and how its resolution fails."""

import json
from dataclasses import dataclass
from urllib.parse import parse_qs

from api.contract.secret_references import PREFIX


class UnresolvedError(Exception):
    """A reference has no value here. The text says why, and never repeats a value; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class SecretReference:
    """`ref+SCHEME://NAME?OPTION=VALUE#KEY`. `text` is the whole of it, which is no secret."""

    text: str
    scheme: str
    name: str
    options: dict[str, str]
    key: str | None

    @classmethod
    def parse(cls, text: str) -> "SecretReference":
        """Read a text that begins with `ref+`."""
        scheme, _, rest = text.removeprefix(PREFIX).partition("://")
        rest, hash_sign, key = rest.partition("#")
        name, _, query = rest.partition("?")
        options = {option: values[-1] for option, values in parse_qs(query).items()}
        return cls(text, scheme, name, options, key if hash_sign else None)

    def option(self, *known: str) -> dict[str, str]:
        """The options. Raises UnresolvedError for one that the scheme doesn't know: a typing mistake must not be ignored."""
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            raise UnresolvedError(f"the option {unknown[0]!r} isn't known", f"Allowed are: {', '.join(known) or 'none'}.")
        return self.options


def pick(document: str, pointer: str) -> str:
    """One value of a JSON document: a JSON pointer (RFC 6901), or the name of a member. Raises UnresolvedError."""
    try:
        value = json.loads(document)
    except ValueError:
        raise UnresolvedError("it isn't JSON, so nothing in it can be picked", "Remove the part after `#`.") from None
    parts = pointer[1:].split("/") if pointer.startswith("/") else [pointer]
    for raw in parts:
        part = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise UnresolvedError(f"it has nothing at {pointer!r}", "Correct the part after `#`.")
    return value if isinstance(value, str) else json.dumps(value)
