"""Manifests and descriptors (OCI image specification 1.1), read by their shape and never rewritten."""

import json
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.oci.errors import BadAnswerError

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES = frozenset({IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_LIST})
ACCEPT = ", ".join([IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_LIST, "*/*;q=0.1"])

MANIFEST_BYTES = 4 * 1024 * 1024
"""Registries refuse larger manifests; so does this client."""

TITLE = "org.opencontainers.image.title"


class _Lenient(BaseModel):
    """Others define these documents: fields that are unknown here are theirs to use."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, document: object) -> object:
        """Programs in Go write an empty list or map as null."""
        return {key: value for key, value in document.items() if value is not None} if isinstance(document, dict) else document


class Descriptor(_Lenient):
    """What a manifest says about one thing that it lists. Fields that aren't named here are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    media_type: str = Field(default="", alias="mediaType")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    size: int = Field(ge=0)
    annotations: dict[str, str] = Field(default_factory=dict)
    artifact_type: str | None = Field(default=None, alias="artifactType")


class ManifestBody(_Lenient):
    """The fields of image manifests and indexes alike: whichever of them a manifest has."""

    media_type: str = Field(default="", alias="mediaType")
    artifact_type: str | None = Field(default=None, alias="artifactType")
    config: Descriptor | None = None
    layers: list[Descriptor] = Field(default_factory=list)
    manifests: list[Descriptor] = Field(default_factory=list)
    subject: Descriptor | None = None
    annotations: dict[str, str] = Field(default_factory=dict)

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
            return ManifestBody.model_validate_json(self.data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the document"
            raise BadAnswerError(f"{self.digest} is not a manifest that can be read: {where}: {first['msg']}") from None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


def canonical_json(document: object) -> bytes:
    """The one way in which this package writes JSON: sorted, compact, UTF-8. Equal documents give equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def descriptor_json(descriptor: Descriptor) -> dict[str, object]:
    """A descriptor as it stands in a manifest, without its empty fields."""
    return descriptor.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
