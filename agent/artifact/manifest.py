"""An artifact of several parts: an index of the component's own manifest first, then all that it needs.

The index's digest is the artifact's: one signature covers every part, and one sync brings all of them. The first one's config
says what the parts are, and has the map from each image that the component names to its mirrored digest (`closure`).
`docs/reference/artifacts.md` shows it whole.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from agent.oci.digest import digest_of
from agent.oci.manifest import IMAGE_INDEX, IMAGE_MANIFEST, TITLE, canonical_json
from api.contract.base import Digest, Model

HELM_ARTIFACT = "application/vnd.exclave.helm.chart.v1"
HELM_CONFIG = "application/vnd.exclave.helm.chart.config.v1+json"
VALUES_TYPE = "application/vnd.exclave.helm.values.v1+yaml"
HELM_PROGRAM = "application/vnd.exclave.helm.program.v1"
KUBERNETES_ARTIFACT = "application/vnd.exclave.kubernetes.manifests.v1"
KUBERNETES_CONFIG = "application/vnd.exclave.kubernetes.manifests.config.v1+json"
MANIFESTS_TYPE = "application/vnd.exclave.kubernetes.manifests.v1.tar"
CUSTOM_ARTIFACT = "application/vnd.exclave.custom.v1"
CUSTOM_CONFIG = "application/vnd.exclave.custom.config.v1+json"
CUSTOM_SOURCE_TYPE = "application/vnd.exclave.custom.source.v1+zip"

CHART_CONFIG_TYPE = "application/vnd.cncf.helm.config.v1+json"
CHART_TYPE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_CREATED = "org.opencontainers.image.created"
_REVISION = "org.opencontainers.image.revision"

Images = dict[str, Digest]
"""From each image as the component writes it to the digest under which the artifact's own repository has it."""


class ChartProgram(Model):
    """The helm that rides with a chart: the title of its layer, which is the program itself."""

    title: str
    version: str
    platform: str = Field(description="The only one that it runs on: `linux_amd64`.")


class ChartConfig(Model):
    """The config of a `helm_chart` artifact. `values_files` are titles of layers; a later one wins."""

    schema_version: Literal[1] = 1
    chart: str
    version: str
    chart_digest: Digest = Field(description="Of the chart's own manifest, which `helm pull oci://…@DIGEST` takes.")
    values_files: tuple[str, ...] = ()
    helm: ChartProgram | None = Field(default=None, exclude_if=lambda helm: helm is None)
    closure: Literal["strict", "off"]
    images: Images = Field(default_factory=dict)


class ManifestsConfig(Model):
    """The config of a `kubernetes_manifest` artifact, whose one layer is a tar of `files`, in the order of their names."""

    schema_version: Literal[1] = 1
    files: tuple[str, ...]
    closure: Literal["strict", "off"]
    images: Images = Field(default_factory=dict)


class CustomArtifactConfig(Model):
    """The config of a `custom` artifact, whose one layer is a zip of what is to be run. `plugin` is what it said of itself."""

    schema_version: Literal[1] = 1
    interface: Literal["command", "json", "python"]
    command: tuple[str, ...]
    plugin: dict[str, str] = Field(default_factory=dict)
    images: Images = Field(default_factory=dict)


@dataclass(frozen=True)
class Blob:
    """Content with its media type. `title` is its file name, for whoever unpacks by titles."""

    media_type: str
    data: bytes
    title: str = ""

    def descriptor(self) -> dict[str, object]:
        """How a manifest names it."""
        titled: dict[str, object] = {"annotations": {TITLE: self.title}} if self.title else {}
        return {"mediaType": self.media_type, "digest": digest_of(self.data), "size": len(self.data)} | titled


EMPTY = Blob(_EMPTY_TYPE, b"{}")


def manifest_of(config: Blob, layers: tuple[Blob, ...], *, artifact_type: str | None, annotations: dict[str, str]) -> bytes:
    """An image manifest. The same arguments give the same bytes."""
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            **({"artifactType": artifact_type} if artifact_type else {}),
            "config": config.descriptor(),
            "layers": [layer.descriptor() for layer in layers or (EMPTY,)],
            "annotations": annotations,
        }
    )


def index_of(artifact_type: str, parts: list[dict[str, object]], annotations: dict[str, str]) -> bytes:
    """The index of an artifact. The type stands on top only: in descriptors, skopeo 1.9 can't copy it by digest."""
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_INDEX,
            "artifactType": artifact_type,
            "manifests": parts,
            "annotations": annotations,
        }
    )


def dated(created: str, revision: str) -> dict[str, str]:
    """Annotations that say from what and as of when something was made."""
    return {_CREATED: created, _REVISION: revision}
