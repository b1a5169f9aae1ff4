"""Find the images that Kubernetes objects name, with the line where each stands.

Sure are the strings under a key `image` (containers of all sorts, and the many custom resources that do likewise), and objects
under such a key with `repository` and `tag` or `digest`. Likely are strings elsewhere, such as arguments and variables of
operators or defaults of CRDs, that have a registry, a path, and a tag or digest, alone or after `--flag=`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

from agent.build.closure.placeholders import OWN_HOST, UNKNOWN
from agent.build.yaml_reader import YamlWrongError, documents

_LIKELY = re.compile(
    r"(?:-{0,2}[\w.-]+=)?"
    r"((?:[a-z0-9-]+(?:\.[a-z0-9-]+)+|localhost)(?::\d+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+"
    r"(?::[A-Za-z0-9_][\w.-]{0,127}(?:@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64}))"
)

_MOST_NODES = 2_000_000


@dataclass(frozen=True)
class FoundImage:
    """An image as it is written, and where. `line` counts from 1. `sure` is False for what only looks like an image."""

    name: str
    file: str
    line: int
    sure: bool

    @property
    def own(self) -> bool:
        """Whether it is a component of the same app."""
        return self.name.startswith(f"{OWN_HOST}/")

    @property
    def unknown(self) -> bool:
        """Whether a part of it is known at the deploy only."""
        return UNKNOWN in self.name

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.name}"


def images_in(file: str, text: str) -> list[FoundImage]:
    """The images in all documents of a YAML or JSON file. Raises YamlWrongError."""
    return [image for document in documents(file, text) for image, _ in places(document, file)]


def places(document: yaml.Node, file: str) -> Iterator[tuple[FoundImage, yaml.Node]]:
    """The images of a document, each with the node that names it: a text, or a mapping that has it in parts.

    Every node once: an alias, and so a bomb of aliases, is one node.
    """
    seen: set[int] = set()
    unread: list[tuple[yaml.Node, bool]] = [(document, False)]
    while unread:
        node, under_image = unread.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if len(seen) > _MOST_NODES:
            raise YamlWrongError(f"{file} has more than {_MOST_NODES} values")
        if isinstance(node, yaml.ScalarNode):
            if (name := _name(node, under_image)) is not None:
                yield FoundImage(name, file, node.start_mark.line + 1, under_image), node
        elif isinstance(node, yaml.SequenceNode):
            unread += [(child, False) for child in reversed(node.value)]
        elif isinstance(node, yaml.MappingNode):
            if under_image and (name := _composed(node)) is not None:
                yield FoundImage(name, file, node.start_mark.line + 1, True), node
            unread += [(value, _is_image(key)) for key, value in reversed(node.value)]


def _is_image(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == "image"


def _name(node: yaml.ScalarNode, under_image: bool) -> str | None:
    if node.tag != "tag:yaml.org,2002:str":
        return None
    if under_image:
        return str(node.value).strip() or None
    likely = _LIKELY.fullmatch(node.value)
    return likely[1] if likely else None


def _composed(node: yaml.MappingNode) -> str | None:
    """An image in parts: `{registry: quay.io, repository: team/web, tag: "1"}`."""
    parts = {
        key.value: str(value.value)
        for key, value in node.value
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }
    if not parts.get("repository") or not (parts.get("tag") or parts.get("digest")):
        return None
    name = "/".join(filter(None, (parts.get("registry"), parts["repository"])))
    return f"{name}@{parts['digest']}" if parts.get("digest") else f"{name}:{parts['tag']}"


def by_name(found: Iterable[FoundImage]) -> dict[str, FoundImage]:
    """One of each, in the order of names; a sure one before a likely one."""
    chosen: dict[str, FoundImage] = {}
    for image in found:
        if image.name not in chosen or (image.sure and not chosen[image.name].sure):
            chosen[image.name] = image
    return dict(sorted(chosen.items()))
