"""Manifests and descriptors (OCI image specification 1.1), read by their shape and never rewritten."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.oci.errors import BadAnswerError
from agent.oci.shape import Fields, ShapeError

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES = frozenset({IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_LIST})
ACCEPT = ", ".join([IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_LIST, "*/*;q=0.1"])

MANIFEST_BYTES = 4 * 1024 * 1024
"""Registries refuse larger manifests; so does this client."""

TITLE = "org.opencontainers.image.title"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says about one thing that it lists. `others` are the fields that have no name here: they are kept."""

    digest: str
    size: int
    media_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    artifact_type: str | None = None
    others: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Fields) -> "Descriptor":
        """As it stands in a manifest. Raises ShapeError."""
        return cls(
            fields.text("digest", like=_DIGEST),
            fields.count("size"),
            fields.text("mediaType", ""),
            fields.texts("annotations"),
            fields.text("artifactType", "") or None,
            fields.others("digest", "size", "mediaType", "annotations", "artifactType"),
        )


@dataclass(frozen=True)
class ManifestBody:
    """The fields of image manifests and indexes alike: whichever of them a manifest has. Others are not for us."""

    media_type: str
    artifact_type: str | None
    config: Descriptor | None
    subject: Descriptor | None
    layers: list[Descriptor]
    manifests: list[Descriptor]
    annotations: dict[str, str]

    @classmethod
    def read(cls, data: bytes) -> "ManifestBody":
        """Raises ShapeError."""
        fields = Fields.read(data)
        config, subject = fields.part("config"), fields.part("subject")
        return cls(
            fields.text("mediaType", ""),
            fields.text("artifactType", "") or None,
            Descriptor.of(config) if config else None,
            Descriptor.of(subject) if subject else None,
            [Descriptor.of(each) for each in fields.parts("layers")],
            [Descriptor.of(each) for each in fields.parts("manifests")],
            fields.texts("annotations"),
        )

    @property
    def blobs(self) -> list[Descriptor]:
        """The config and the layers."""
        return [*([self.config] if self.config else []), *self.layers]


@dataclass(frozen=True)
class Manifest:
    """A manifest as its registry gave it: the bytes decide, `media_type` is the Content-Type that goes with them."""

    data: bytes
    media_type: str
    digest: str

    def body(self) -> ManifestBody:
        """The parsed content. Raises BadAnswerError if it is no manifest."""
        try:
            return ManifestBody.read(self.data)
        except ShapeError as error:
            raise BadAnswerError(f"{self.digest} is not a manifest that can be read: {error}") from None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


def canonical_json(document: object) -> bytes:
    """The one way in which this package writes JSON: sorted, compact, UTF-8. Equal documents give equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def descriptor_json(descriptor: Descriptor) -> dict[str, object]:
    """A descriptor as it stands in a manifest, without its empty fields."""
    named = {
        "mediaType": descriptor.media_type,
        "annotations": descriptor.annotations,
        "artifactType": descriptor.artifact_type,
    }
    given = {name: value for name, value in named.items() if value}
    return {**descriptor.others, "digest": descriptor.digest, "size": descriptor.size, **given}
