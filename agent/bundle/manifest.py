"""The manifest of a Terraform bundle, and the config that says what is in it.

One image manifest per platform, and for several an index of them. Exactly one layer is `archive/zip`, the source, so that
OpenTofu takes the artifact as an `oci://` module. The other layers' titles are paths, so that whoever honours titles gets a
ready filesystem mirror.
"""

from dataclasses import dataclass
from typing import Literal

from agent.bundle.platform import Platform
from agent.oci.digest import digest_of
from agent.oci.manifest import IMAGE_INDEX, IMAGE_MANIFEST, TITLE, canonical_json
from api.contract.base import Digest, Model
from api.contract.resources import ModuleOutput, ModuleVariable

ARTIFACT_TYPE = "application/vnd.opentofu.modulepkg"
CONFIG_TYPE = "application/vnd.exclave.terraform.bundle.config.v1+json"
SOURCE_TYPE = "archive/zip"
PROVIDER_TYPE = "application/vnd.exclave.terraform.provider.v1+zip"
ENGINE_TYPE = "application/vnd.exclave.terraform.engine.v1+zip"

SOURCE_TITLE = "source.zip"
PROVIDERS = "providers"
ENGINE_FOLDER = "bin"

_CREATED = "org.opencontainers.image.created"
_REVISION = "org.opencontainers.image.revision"


class BundleEngine(Model):
    """The engine that the bundle was made with; `file` is its name in the engine layer, if there is one.

    A `library` is Terraform as a shared object (the `terraform` extra), which Exclave's launcher runs.
    `file` is the engine's own file name in its layer; None where it doesn't travel in the bundle.
    """

    name: Literal["tofu", "terraform"]
    version: str
    kind: Literal["binary", "library"]
    file: str | None = None


class BundleConfig(Model):
    """The config blob of a bundle."""

    schema_version: Literal[1] = 1
    engine: BundleEngine
    platform: Platform
    variables: tuple[ModuleVariable, ...]
    outputs: tuple[ModuleOutput, ...]
    layers: dict[str, Digest]
    lock_hashes: dict[str, list[str]]

    def blob(self) -> bytes:
        """The config as its blob."""
        return canonical_json(self.model_dump(mode="json"))


@dataclass(frozen=True)
class LayerEntry:
    """What the manifest says about one layer."""

    media_type: str
    title: str
    digest: str
    size: int


def manifest_bytes(config: BundleConfig, layers: tuple[LayerEntry, ...], *, created: str, revision: str) -> bytes:
    """The manifest. The same arguments give the same bytes, and so the same digest."""
    blob = config.blob()
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "artifactType": ARTIFACT_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(blob), "size": len(blob)},
            "layers": [
                {
                    "mediaType": layer.media_type,
                    "digest": layer.digest,
                    "size": layer.size,
                    "annotations": {TITLE: layer.title},
                }
                for layer in layers
            ],
            "annotations": {_CREATED: created, _REVISION: revision},
        }
    )


def index_bytes(bundles: list[tuple[Platform, bytes]], *, created: str, revision: str) -> bytes:
    """The index of the manifests for several platforms; its type stands on top only, as skopeo 1.9 wants it."""
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_INDEX,
            "artifactType": ARTIFACT_TYPE,
            "manifests": [
                {
                    "mediaType": IMAGE_MANIFEST,
                    "digest": digest_of(manifest),
                    "size": len(manifest),
                    "platform": platform.model_dump(mode="json"),
                }
                for platform, manifest in bundles
            ],
            "annotations": {_CREATED: created, _REVISION: revision},
        }
    )
