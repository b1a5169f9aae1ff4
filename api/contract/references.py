"""References: `{{ components.network.outputs.id }}` and the like, found, checked and rendered.

The IMS reads them to order the components; the agent renders them, strictly: an unknown name is an error before anything
runs, and nothing is escaped. A text that is one reference and nothing else keeps the value's type; inside a longer text, a
string goes in as it is and any other value as JSON.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from api.contract.base import Json

_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")

INSTALL_FIELDS = ("id", "name", "platform", "region")
IMAGE_FIELDS = ("repository", "tag", "digest")


class InvalidReferenceError(ValueError):
    """A reference that can't be read or resolved. The text says what is allowed."""


@dataclass(frozen=True)
class Reference:
    """One reference. `path` is its dotted parts: `("components", "network", "outputs", "id")`."""

    path: tuple[str, ...]

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
        """The field of the install that it refers to, if it refers to one."""
        return self.path[1] if self.path[0] == "install" else None

    @property
    def secret(self) -> str | None:
        """The named secret that it refers to, if it refers to one."""
        return self.path[1] if self.path[0] == "secrets" else None


def _parse(inner: str) -> Reference:
    text = inner.strip()
    if not _PATH.fullmatch(text):
        raise InvalidReferenceError(f"{{{{{inner}}}}} is not a reference: write dotted names, such as {{{{ inputs.domain }}}}")
    path = tuple(text.split("."))
    match path:
        case ("inputs", _) | ("secrets", _) | ("components", _, "outputs", _):
            return Reference(path)
        case ("install", field) if field in INSTALL_FIELDS:
            return Reference(path)
        case ("components", _, "image", field) if field in IMAGE_FIELDS:
            return Reference(path)
    raise InvalidReferenceError(
        f"{{{{ {text} }}}} is not known; allowed are inputs.NAME, secrets.NAME, install.{{{','.join(INSTALL_FIELDS)}}}, "
        f"components.NAME.outputs.NAME and components.NAME.image.{{{','.join(IMAGE_FIELDS)}}}"
    )


def find(text: str) -> list[Reference]:
    """All references in `text`, in order. Raises InvalidReferenceError for one that can't be read."""
    return [_parse(match[1]) for match in _BRACES.finditer(text)]


def find_all(variables: dict[str, str]) -> Iterator[tuple[str, Reference]]:
    """Every (variable's name, reference) in a component's variables. Raises InvalidReferenceError."""
    for name, text in variables.items():
        for reference in find(text):
            yield name, reference


def render(text: str, resolve: Callable[[Reference], Json]) -> Json:
    """`text` with every reference replaced by `resolve(reference)`, which raises InvalidReferenceError if it can't."""
    whole = _BRACES.fullmatch(text.strip())
    if whole and "{{" not in whole[1]:
        return resolve(_parse(whole[1]))

    def put(match: re.Match[str]) -> str:
        value = resolve(_parse(match[1]))
        return value if isinstance(value, str) else json.dumps(value)

    return _BRACES.sub(put, text)
