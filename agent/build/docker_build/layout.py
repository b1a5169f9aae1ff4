"""An OCI image layout on disk: a base to be read by the builder, and the image that it made, to be pushed.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

import asyncio
from pathlib import Path

from agent.build.builder import BuildContext
from agent.failure import CodedError
from agent.oci.client import RegistryClient
from agent.oci.digest import check_digest, hex_of
from agent.oci.download import download_blob
from agent.oci.manifest import MANIFEST_BYTES, Descriptor, Manifest, ManifestBody, canonical_json
from agent.oci.push import push_file
from agent.oci.shape import ShapeError

_LAYOUT = {"imageLayoutVersion": "1.0.0"}


class LayoutWrongError(CodedError):
    """The builder's output isn't an image."""

    code = "image_not_built"
    remedy = "Read the build's log."


async def write_layout(client: RegistryClient, repository: str, manifest: Manifest, folder: Path) -> None:
    """Download one image into a new layout, under the name `base`."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (blobs / hex_of(manifest.digest)).write_bytes(manifest.data)
    for blob in {blob.digest: blob for blob in manifest.body().blobs}.values():
        await download_blob(client, repository, blob.digest, blob.size, blobs / hex_of(blob.digest))
    (folder / "oci-layout").write_bytes(canonical_json(_LAYOUT))
    entry = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": manifest.size,
        "annotations": {"org.opencontainers.image.ref.name": "base"},
    }
    (folder / "index.json").write_bytes(canonical_json({"schemaVersion": 2, "manifests": [entry]}))


async def push_layout(folder: Path, context: BuildContext) -> tuple[Manifest, int]:
    """Push the one image of a layout; gives its manifest, and the bytes of all of it. Raises LayoutWrongError.

    What built it isn't trusted: nothing is read but regular files, and each is what its digest says.
    """
    try:
        index = ManifestBody.read(await asyncio.to_thread(_read, folder, "index.json"))
    except ShapeError:
        raise LayoutWrongError("the builder's index.json can't be read") from None
    if len(index.manifests) != 1:
        raise LayoutWrongError(f"the builder made {len(index.manifests)} images, not one")
    manifest = await asyncio.to_thread(_manifest, folder, index.manifests[0])
    body = manifest.body()
    for blob in body.blobs:
        path = _path(folder, f"blobs/sha256/{hex_of(blob.digest)}")
        await push_file(context.target, context.repository, path, blob.digest, blob.size)
    await context.target.put_manifest(context.repository, manifest.digest, manifest.data, manifest.media_type)
    return manifest, manifest.size + sum(blob.size for blob in body.blobs)


def _manifest(folder: Path, descriptor: Descriptor) -> Manifest:
    data = _read(folder, f"blobs/sha256/{hex_of(descriptor.digest)}")
    check_digest(data, descriptor.digest, "the built image")
    return Manifest(data, descriptor.media_type, descriptor.digest)


def _read(folder: Path, name: str) -> bytes:
    path = _path(folder, name)
    if path.stat().st_size > MANIFEST_BYTES:
        raise LayoutWrongError(f"the builder's {name} has more than {MANIFEST_BYTES} bytes")
    return path.read_bytes()


def _path(folder: Path, name: str) -> Path:
    path = folder / name
    if path.resolve() != folder.resolve() / name or not path.is_file():
        raise LayoutWrongError(f"the builder's output has no file {name}")
    return path
