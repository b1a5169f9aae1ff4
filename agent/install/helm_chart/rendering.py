"""What helm makes of a chart: documents of YAML, each with the template that it comes from, and the objects in them."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import yaml

from agent.build.closure.found_images import FoundImage, images_in
from agent.build.closure.rewrite import rewrite_images
from agent.build.yaml_reader import documents
from agent.failure import CodedError
from agent.install.kubernetes_manifest.secrets import secret_values
from agent.kubernetes.objects import Obj
from api.contract.base import Digest, Json

_DOCUMENT = re.compile(r"^---[ \t]*(?:#.*)?$", re.MULTILINE)
_SOURCE = re.compile(r"\s*# Source: ([^\n]+)\n")
_CRDS = "/crds/"
HOOK = "helm.sh/hook"
KEEP = "helm.sh/resource-policy"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads what Kubernetes reads: a date is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


class RenderingWrongError(CodedError):
    """The chart makes something that isn't Kubernetes' objects."""

    code = "chart_not_rendered"
    remedy = "Correct the chart's template."


@dataclass(frozen=True)
class Document:
    """One document. `path` is its template's in the chart, with the chart's name in front, as helm says it."""

    path: str
    text: str

    @property
    def crd(self) -> bool:
        """Whether it is of a folder `crds/`, whose objects helm makes once and never touches again."""
        return _CRDS in self.path and "/templates/" not in self.path

    def object(self) -> Obj | None:
        """What it says, or None if it says nothing. Raises RenderingWrongError."""
        documents(self.path, self.text)  # refuses what is nested too deep
        try:
            read = yaml.load(self.text, Loader=_Loader)  # noqa: S506 - a safe loader
        except (yaml.YAMLError, ValueError) as error:
            raise RenderingWrongError(f"{self.path} isn't YAML: {str(error).splitlines()[0]}") from None
        if read is None:
            return None
        named = isinstance(read, dict) and isinstance(read.get("kind"), str)
        if not named or not (isinstance(read.get("metadata"), dict) or isinstance(read.get("items"), list)):
            raise RenderingWrongError(f"{self.path} makes something without `kind` and `metadata`")
        found: Obj = read
        return found


def read_documents(text: str) -> list[Document]:
    """The documents of `helm template`'s output, or of a release's manifest."""
    found = []
    for part in _DOCUMENT.split(text):
        source = _SOURCE.match(part)
        if source:
            found.append(Document(source[1].strip(), part[source.end() :]))
        elif part.strip():
            raise RenderingWrongError("helm's output has a document of no template")
    return found


@dataclass(frozen=True)
class Rendering:
    """All that a chart has become: what helm applies, its hooks, and what it makes only once."""

    documents: tuple[Document, ...]

    def with_images(self, images: Mapping[str, Digest], repository: str) -> "Rendering":
        """The same with the install's own images (`closure`). Blocks."""
        return Rendering(
            tuple(Document(each.path, rewrite_images(each.path, each.text, images, repository)) for each in self.documents)
        )

    def images(self) -> list[FoundImage]:
        """The images that it names. Blocks."""
        return [image for each in self.documents for image in images_in(each.path, each.text)]

    def objects(self) -> list[Obj]:
        """What helm applies and keeps: neither hooks nor CRDs of `crds/`."""
        return [each for each in self._all(crd=False) if not is_hook(each)]

    def hooks(self) -> list[Obj]:
        """What helm runs and forgets."""
        return [each for each in self._all(crd=False) if is_hook(each)]

    def crds(self) -> list[Obj]:
        """What helm makes before all else, at the first install."""
        return self._all(crd=True)

    def secrets(self) -> list[Json]:
        """Every value of its Secrets, which no log may show."""
        objects = [*self.objects(), *self.hooks()]
        plain = [value for each in objects if each["kind"] == "Secret" for value in (each.get("stringData") or {}).values()]
        return [*plain, *secret_values(objects)]

    def _all(self, *, crd: bool) -> list[Obj]:
        found = [obj for each in self.documents if each.crd == crd and (obj := each.object()) is not None]
        return [item for obj in found for item in _items(obj)]


def _items(obj: Obj) -> list[Obj]:
    """The object, or those of a list, which helm takes apart."""
    items = obj.get("items")
    if not obj["kind"].endswith("List") or not isinstance(items, list):
        return [obj]
    return [item for item in items if isinstance(item, dict) and isinstance(item.get("metadata"), dict) and "kind" in item]


def is_hook(obj: Obj) -> bool:
    """Whether helm takes an object for a hook."""
    return HOOK in (obj["metadata"].get("annotations") or {})


def events_of(hook: Obj) -> frozenset[str]:
    """When helm runs a hook: `pre-install`, `post-upgrade` and the like."""
    said = str((hook["metadata"].get("annotations") or {}).get(HOOK, ""))
    return frozenset(each.strip() for each in said.split(","))


def kept(obj: Obj) -> bool:
    """Whether helm leaves an object where it is when it removes the rest."""
    return str((obj["metadata"].get("annotations") or {}).get(KEEP, "")).strip().lower() == "keep"


def digest_of_objects(objects: Iterable[Obj]) -> Digest:
    """One digest of all objects, whatever their order."""
    texts = sorted(json.dumps(each, sort_keys=True) for each in objects)
    return "sha256:" + hashlib.sha256("\n".join(texts).encode()).hexdigest()
