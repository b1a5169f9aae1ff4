"""Make objects of manifests: references resolved, images those of the install's own registry.

References are resolved after the YAML is read, each where it stands: whatever a value is, it can't become structure. A scalar
that is one reference, without quotes, keeps the value's type; in quotes, or within a longer text, it becomes text.
"""

import base64
import copy
import re
import secrets
from collections.abc import Mapping

import yaml

from agent.build.closure.found_images import images_in
from agent.build.closure.rewrite import rewrite_images
from agent.build.yaml_reader import YamlWrongError, documents
from agent.failure import CodedError
from agent.install.kubernetes_manifest.artifact import FetchedManifests
from agent.install.variables import Scope, UnresolvedReferenceError
from agent.kubernetes.objects import Obj
from api.contract.base import Json
from api.contract.reference_functions import WrongValueError, spelled
from api.contract.reference_grammar import Expression, InvalidReferenceError, parse

_WORD = re.compile(r"ref[0-9a-f]{16}x")
_MOST_VALUES = 500_000
_MOST_DEPTH = 150
_NOT_OURS = ("managedFields", "resourceVersion", "uid", "selfLink", "generation", "creationTimestamp")
_FIELD = "config.manifest"


class ManifestWrongError(CodedError):
    """A document isn't an object that can be applied."""

    code = "manifest_wrong"
    remedy = "Correct the manifest."


class ImageNotHereError(CodedError):
    """`closure`: an image that isn't in the install's own registry."""

    code = "not_closed"
    remedy = "Refer to an image component, or name an image that the build can mirror."


def render_objects(fetched: FetchedManifests, scope: Scope, *, inline: bool) -> list[Obj]:
    """The objects of all files, in their order. Blocks. Only an inline manifest has references.

    Raises YamlWrongError, ManifestWrongError, ImageNotHereError and UnresolvedReferenceError.
    """
    found: list[Obj] = []
    for name in fetched.config.files:
        try:
            text = fetched.files[name].decode("utf-8-sig")
        except UnicodeDecodeError:
            raise YamlWrongError(f"{name} isn't UTF-8") from None
        values: dict[str, Json] = {}
        if inline:
            text = _held(scope, text, values)
        text = rewrite_images(name, text, fetched.config.images, fetched.repository)
        if fetched.config.closure == "strict":
            _check_images(name, text, values, fetched.repository.partition("/")[0])
        for number, document in enumerate(documents(name, text), start=1):
            value = _Reader(name, values).value(document)
            if value is not None:
                found += _objects(f"{name}, document {number}", value)
    return found


def _held(scope: Scope, text: str, values: dict[str, Json]) -> str:
    """The text with a word for each expression, which stands for its value while the YAML is read, and can be nothing else."""
    written: list[str] = []
    try:
        for part in parse(text):
            if isinstance(part, Expression):
                word = f"ref{secrets.token_hex(8)}x"
                values[word] = scope.evaluate(part)
                part = word
            written.append(part)
    except InvalidReferenceError as error:
        raise UnresolvedReferenceError(str(error), remedy=error.remedy, field=_FIELD) from None
    return "".join(written)


def _check_images(name: str, text: str, values: Mapping[str, Json], host: str) -> None:
    for image in images_in(name, text):
        whole = _put(image.name, values)
        if image.sure and not whole.startswith(f"{host}/"):
            raise ImageNotHereError(f"{name}:{image.line}: the image {whole} is not in the install's own registry, {host}")


def _put(text: str, values: Mapping[str, Json]) -> str:
    def value(word: re.Match[str]) -> str:
        try:
            return spelled(values.get(word[0], word[0]))
        except WrongValueError as error:
            raise UnresolvedReferenceError(str(error), remedy=error.remedy, field=_FIELD) from None

    return _WORD.sub(value, text)


class _Reader:
    """Makes values of YAML nodes as Kubernetes' own reader does: no dates, no numbers in base 60."""

    def __init__(self, file: str, values: Mapping[str, Json]) -> None:
        self._file = file
        self._values = values
        self._count = 0
        self._flat: set[int] = set()
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, depth: int = 0) -> Json:
        """Raises YamlWrongError."""
        self._count += 1
        if self._count > _MOST_VALUES or depth > _MOST_DEPTH:
            raise self._wrong(node, "holds too much, or itself, by its aliases")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, depth + 1) for each in node.value]
        assert isinstance(node, yaml.MappingNode)
        self._flatten(node)
        return {self._key(key): self.value(value, depth + 1) for key, value in node.value}

    def _flatten(self, node: yaml.MappingNode) -> None:
        """Take in what `<<` names, once; the node's own keys win, and none may be there twice."""
        if id(node) in self._flat:
            return
        self._flat.add(id(node))
        seen: set[str] = set()
        for key, _ in node.value:
            name = self._key(key)
            if name in seen:
                raise self._wrong(key, f"has the key {name!r} twice")
            seen.add(name)
        self._scalars.flatten_mapping(node)

    def _key(self, node: yaml.Node) -> str:
        name = self._scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(name, str):
            raise self._wrong(node, "has a key that isn't a text")
        return name

    def _scalar(self, node: yaml.ScalarNode) -> Json:
        text = str(node.value)
        if not node.style and text in self._values:  # without quotes
            return copy.deepcopy(self._values[text])
        if (whole := _put(text, self._values)) != text:
            return whole
        kind = node.tag.rpartition(":")[2]
        if kind in ("null", "bool") or (kind in ("int", "float") and ":" not in text):
            return self._scalars.construct_object(node)
        return text

    def _wrong(self, node: yaml.Node, what: str) -> YamlWrongError:
        return YamlWrongError(f"{self._file}:{node.start_mark.line + 1} {what}")


def _objects(where: str, value: Json) -> list[Obj]:
    """The object, or those of a List."""
    if not isinstance(value, dict):
        raise ManifestWrongError(f"{where} isn't an object with apiVersion and kind")
    if isinstance(value.get("items"), list) and str(value.get("kind")).endswith("List"):
        return [obj for item in value["items"] for obj in _objects(where, item)]
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    for what, found in (("apiVersion", value.get("apiVersion")), ("kind", value.get("kind")), ("metadata.name", name)):
        if not isinstance(found, str) or not found:
            raise ManifestWrongError(f"{where} ({value.get('kind') or 'no kind'} {name or 'without a name'}) has no {what}")
    assert isinstance(metadata, dict)
    obj = {**value, "metadata": {key: each for key, each in metadata.items() if key not in _NOT_OURS}}
    return [_encoded(obj) if obj["kind"] == "Secret" and obj["apiVersion"] == "v1" else obj]


def _encoded(secret: Obj) -> Obj:
    """A Secret with its `stringData` as `data`: the server stores it so, and would else not know whose the fields are."""
    texts = secret.get("stringData") or {}
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ManifestWrongError(f"Secret/{secret['metadata']['name']}: stringData has a value that isn't a text")
    data = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    kept = {name: value for name, value in secret.items() if name != "stringData"}
    return {**kept, "data": {**(secret.get("data") or {}), **data}} if data else kept
