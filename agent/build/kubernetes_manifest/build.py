"""Build a component of the kind `kubernetes_manifest`: its files as one layer, and the images that they name."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from agent.artifact.manifest import (
    KUBERNETES_ARTIFACT,
    KUBERNETES_CONFIG,
    MANIFESTS_TYPE,
    Blob,
    ManifestsConfig,
    dated,
)
from agent.artifact.outputs import MANIFEST_OUTPUTS, declared
from agent.build.archive import tar
from agent.build.builder import BuildContext, BuiltArtifact
from agent.build.closure.close import Closed, close
from agent.build.closure.found_images import FoundImage, images_in
from agent.build.closure.placeholders import stand_in
from agent.build.composite import push_index, push_manifest
from agent.build.kubernetes_manifest.kustomize import KUSTOMIZED, kustomize
from agent.build.materials import image_materials
from agent.build.source import field_of
from agent.build.yaml_reader import YamlWrongError
from agent.bundle.pack import UNDATED
from agent.failure import CodedError
from agent.oci.digest import digest_of
from agent.oci.manifest import canonical_json
from api.contract.components import KubernetesManifestConfig
from api.contract.source_digest import source_files

INLINE = "manifest.yaml"
"""The name of the file that an inline manifest becomes."""

_SUFFIXES = (".yaml", ".yml", ".json")
_MOST_BYTES = 64 * 1024 * 1024


class NoManifestsError(CodedError):
    """The source has no manifests, or more than can be."""

    code = "no_manifests"
    remedy = f"Name the folder that has the manifests: files that end with {', '.join(_SUFFIXES)}."


@dataclass(frozen=True)
class _Manifests:
    """Files by name. `field` of the config has them; `inline` ones may hold references."""

    files: dict[str, bytes]
    field: str
    revision: str
    created: str
    inline: bool = False


async def build_kubernetes_manifest(config: KubernetesManifestConfig, context: BuildContext) -> BuiltArtifact:
    """Collect the manifests, find and mirror their images, push all of it. Raises JobFailedError."""
    manifests = await _manifests(config, context)
    found = await asyncio.to_thread(_images, manifests)
    closed = Closed({}, []) if config.closure == "off" else await close(found, context, manifests.field)
    annotations = dated(manifests.created, manifests.revision)
    own = ManifestsConfig(files=tuple(sorted(manifests.files)), closure=config.closure, images=closed.images)
    layer = Blob(MANIFESTS_TYPE, tar({name: (content, False) for name, content in manifests.files.items()}), "manifests.tar")
    blob = Blob(KUBERNETES_CONFIG, canonical_json(own.model_dump(mode="json")))
    head = await push_manifest(context, blob, (layer,), artifact_type=KUBERNETES_ARTIFACT, annotations=annotations)
    parts = [head, *closed.parts]
    return await push_index(
        context,
        KUBERNETES_ARTIFACT,
        parts,
        annotations=annotations,
        revision=manifests.revision,
        materials=image_materials(closed.images),
        outputs=declared(MANIFEST_OUTPUTS),
    )


async def _manifests(config: KubernetesManifestConfig, context: BuildContext) -> _Manifests:
    if config.manifest is not None:
        content = config.manifest.encode()
        return _Manifests({INLINE: content}, "config.manifest", digest_of(content), UNDATED, inline=True)
    assert config.source is not None
    source = await context.fetch(config.source)
    field = field_of(config.source)
    if config.kustomize:
        files = {KUSTOMIZED: await kustomize(source.folder, context, field)}
    else:
        files = await asyncio.to_thread(_read, source.folder, field)
    return _Manifests(files, field, source.revision, source.created or UNDATED)


def _read(folder: Path, field: str) -> dict[str, bytes]:
    found = [file for file in source_files(str(folder)) if file.name.endswith(_SUFFIXES)]
    size = sum(Path(file.path).stat().st_size for file in found)
    if not found or size > _MOST_BYTES:
        raise NoManifestsError(
            f"the manifests have {size} bytes, more than {_MOST_BYTES}" if found else "the source has no manifests", field=field
        )
    return {file.name: Path(file.path).read_bytes() for file in found}


def _images(manifests: _Manifests) -> list[FoundImage]:
    """The images of all files; in any case, each file is read and must be YAML."""
    found: list[FoundImage] = []
    for name, content in manifests.files.items():
        try:
            text = content.decode("utf-8-sig")
            found += images_in(name, stand_in(text, manifests.field) if manifests.inline else text)
        except UnicodeDecodeError:
            raise YamlWrongError(f"{name} isn't UTF-8", field=manifests.field) from None
        except YamlWrongError as error:
            raise YamlWrongError(str(error), field=manifests.field) from None
    return found
