"""Push an artifact of several parts: blobs, the component's own manifest, and the index of it and what it needs."""

from agent.artifact.manifest import EMPTY, Blob, index_of, manifest_of
from agent.build.builder import BuildContext, BuiltArtifact
from agent.build.mirror import Mirrored
from agent.oci.digest import digest_of
from agent.oci.manifest import IMAGE_INDEX, IMAGE_MANIFEST
from agent.oci.provenance import Material
from agent.oci.push import push_bytes
from api.contract.resources import ModuleOutput


async def push_manifest(
    context: BuildContext,
    config: Blob,
    layers: tuple[Blob, ...],
    *,
    artifact_type: str | None,
    annotations: dict[str, str],
) -> Mirrored:
    """Push one manifest with its blobs."""
    blobs = (config, *(layers or (EMPTY,)))
    for blob in blobs:
        await push_bytes(context.target, context.repository, blob.data)
    data = manifest_of(config, layers, artifact_type=artifact_type, annotations=annotations)
    digest = digest_of(data)
    await context.target.put_manifest(context.repository, digest, data, IMAGE_MANIFEST)
    size = len(data) + sum(len(blob.data) for blob in blobs)
    return Mirrored(digest, IMAGE_MANIFEST, artifact_type or config.media_type, size, manifest_size=len(data))


async def push_index(
    context: BuildContext,
    artifact_type: str,
    parts: list[Mirrored],
    *,
    annotations: dict[str, str],
    revision: str,
    materials: tuple[Material, ...] = (),
    outputs: tuple[ModuleOutput, ...] = (),
) -> BuiltArtifact:
    """Push the index, by its digest and under the build's tag. The component's own manifest is the first of `parts`."""
    own, *others = parts
    unique = {part.digest: part for part in others if part.digest != own.digest}
    ordered = [own, *(unique[digest] for digest in sorted(unique))]
    listed: list[dict[str, object]] = [
        {"mediaType": part.media_type, "digest": part.digest, "size": part.manifest_size} for part in ordered
    ]
    data = index_of(artifact_type, listed, annotations)
    await context.target.put_manifest(context.repository, context.tag, data, IMAGE_INDEX)
    return BuiltArtifact(
        digest=digest_of(data),
        media_type=IMAGE_INDEX,
        artifact_type=artifact_type,
        size=len(data) + sum(part.size for part in ordered),
        revision=revision,
        materials=materials,
        outputs=outputs,
    )
