"""Things that refer to an artifact (OCI image specification 1.1, `subject`): an SBOM, a provenance.

They are manifests of their own, so that the artifact's digest doesn't depend on them, and travel with it when it is copied.
"""

from collections.abc import Mapping, Sequence

from agent.oci.client import RegistryClient
from agent.oci.digest import digest_of, tag_of
from agent.oci.manifest import IMAGE_INDEX, IMAGE_MANIFEST, Descriptor, canonical_json, descriptor_json
from agent.oci.push import push_bytes
from agent.oci.store import Writable

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"


async def attach(
    client: RegistryClient,
    repository: str,
    subject: Descriptor,
    content: bytes,
    *,
    artifact_type: str,
    media_type: str,
    annotations: Mapping[str, str],
) -> Descriptor:
    """Push `content` as the only layer of a manifest whose subject is `subject`; gives the descriptor of that manifest.

    Where the registry has no referrers API, it is also listed under the fallback tag. Equal arguments give an equal manifest.
    """
    await push_bytes(client, repository, content)
    await push_bytes(client, repository, _EMPTY)
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "artifactType": artifact_type,
        "config": {"mediaType": EMPTY_TYPE, "digest": digest_of(_EMPTY), "size": len(_EMPTY)},
        "layers": [{"mediaType": media_type, "digest": digest_of(content), "size": len(content)}],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
        "annotations": dict(annotations),
    }
    data = canonical_json(document)
    await client.put_manifest(repository, digest_of(data), data, IMAGE_MANIFEST)
    own = Descriptor(
        media_type=IMAGE_MANIFEST,
        digest=digest_of(data),
        size=len(data),
        artifact_type=artifact_type,
        annotations=dict(annotations),
    )
    await list_referrers(client, repository, subject.digest, [own])
    return own


async def list_referrers(client: Writable, repository: str, digest: str, descriptors: Sequence[Descriptor]) -> None:
    """Add to the list that clients keep under a tag where a registry has no referrers API (distribution spec, section 4.6)."""
    present = await client.referrers(repository, digest)
    if present.by_api:
        return
    listed = {descriptor.digest for descriptor in present.descriptors}
    missing = [descriptor for descriptor in descriptors if descriptor.digest not in listed]
    if not missing:
        return
    index = {
        "schemaVersion": 2,
        "mediaType": IMAGE_INDEX,
        "manifests": [descriptor_json(descriptor) for descriptor in [*present.descriptors, *missing]],
    }
    await client.put_manifest(repository, tag_of(digest), canonical_json(index), IMAGE_INDEX)
