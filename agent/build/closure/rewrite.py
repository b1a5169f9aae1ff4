"""`closure`: put the install's own images into what a chart or a manifest has become, by digest."""

import json
import re
from collections.abc import Iterator, Mapping

import yaml

from agent.build.closure.found_images import places
from agent.build.yaml_reader import documents
from api.contract.base import Digest

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
"""The anchor and the tag before a value (YAML 1.2, 6.9): an alias elsewhere needs the anchor."""


def rewrite_images(file: str, text: str, images: Mapping[str, Digest], repository: str) -> str:
    """`text` with every image of `images` replaced by `repository@digest`, and all else as it was. Blocks.

    `repository` has the registry in front: `registry.example.com/shop/web`. An image is where `found_images` finds it at the
    build, so nothing that was mirrored is missed. Raises YamlWrongError.
    """
    edits = [edit for document in documents(file, text) for edit in _edits(document, file, images, repository)]
    for node, value in sorted(edits, key=lambda edit: edit[0].start_mark.index, reverse=True):
        start, end = node.start_mark.index, node.end_mark.index
        old = text[start:end]
        kept = _PROPERTIES.match(old)
        # A block scalar ends after its line's end, which has to stay.
        new = (kept[0] if kept else "") + json.dumps(value) + ("\n" if old.endswith("\n") else "")
        text = text[:start] + new + text[end:]
    return text


def _edits(
    document: yaml.Node, file: str, images: Mapping[str, Digest], repository: str
) -> Iterator[tuple[yaml.ScalarNode, str]]:
    for image, node in places(document, file):
        if image.name not in images:
            continue
        digest = images[image.name]
        if isinstance(node, yaml.ScalarNode):
            # The image stands alone, or at the end of `--flag=`.
            yield node, str(node.value).strip().removesuffix(image.name) + f"{repository}@{digest}"
        elif isinstance(node, yaml.MappingNode):
            yield from _parts(node, digest, repository)


def _parts(node: yaml.MappingNode, digest: Digest, repository: str) -> Iterator[tuple[yaml.ScalarNode, str]]:
    """An image in parts, in such a way that whoever puts them together gets the one that is meant."""
    parts = {
        key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }
    host, _, path = repository.partition("/")
    if parts.get("registry") is not None and parts["registry"].value:
        yield parts["registry"], host
        yield parts["repository"], path
    else:
        yield parts["repository"], repository
    if "digest" in parts and parts["digest"].value:
        yield parts["digest"], digest
    else:
        yield parts["tag"], f"{parts['tag'].value}@{digest}"
