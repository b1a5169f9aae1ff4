"""Releases to put into bundles, and bundles that somebody has changed."""

import io
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from artifacts import RECORD, blob, index, push_manifest

from agent.airgap.bundle import BundledArtifact, BundledRelease, check, push
from agent.airgap.layout import LayoutReader
from agent.oci.client import RegistryClient
from agent.oci.digest import digest_of
from agent.oci.manifest import IMAGE_MANIFEST, Descriptor
from agent.oci.provenance import attach_provenance
from agent.oci.signature import sign
from agent.oci.vendor_key import VendorKey
from agent.trust.claims import claims_said
from api.contract.base import Digest

SAME = b"the same in all releases" * 10_000


def config_of(component: str) -> Digest:
    """What stands for the digest of its config."""
    return digest_of(component.encode())


async def release(client: RegistryClient, key: VendorKey, number: int = 1, content: bytes = b"first") -> BundledRelease:
    """Two signed artifacts: an index, and an image with provenance of which one layer changes with `content`."""
    web = Descriptor.model_validate(await index(client, "shop/web"))
    layers = [await blob(client, "shop/db", each, "application/x") for each in (SAME, content)]
    config = await blob(client, "shop/db", b"{}", "application/vnd.oci.image.config.v1+json")
    document = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": config, "layers": layers}
    db = Descriptor.model_validate(await push_manifest(client, "shop/db", document, IMAGE_MANIFEST))
    await attach_provenance(client, "shop/db", db, key, RECORD)
    for name, artifact in (("web", web), ("db", db)):
        claims = claims_said("shop", name, config_of(name))
        await sign(client, f"shop/{name}", artifact.digest, key, f"vendor.test/shop/{name}", claims)
    artifacts = [
        BundledArtifact(component="web", repository="shop/web", digest=web.digest, tag="bld_web"),
        BundledArtifact(component="db", repository="shop/db", digest=db.digest, tag="bld_db"),
    ]
    return BundledRelease(app="shop", release_id=f"rel_{number}", number=number, artifacts=artifacts)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[LayoutReader]:
    layout = LayoutReader.open(path)
    try:
        yield layout
    finally:
        layout.close()


async def push_all(path: Path, key: VendorKey, target: RegistryClient) -> int:
    """Push everything into `mirror/…`; gives the bytes that were sent."""
    sent = 0
    async with opened(path) as layout:
        checked = await check(layout, (key.public_pem,))
        for one in checked.release.artifacts:
            sent += (await push(layout, checked, one, target, f"mirror/{one.repository}")).copied_bytes
    return sent


def silent(line: str) -> None:
    pass


Files = dict[str, bytes]


def rewritten(path: Path, change: Callable[[Files], None]) -> Path:
    """The bundle with other files."""
    with tarfile.open(path) as tar:
        files = {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar}
    change(files)
    target = path.with_name("hostile.tar")
    with tarfile.open(target, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target
