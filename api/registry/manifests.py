"""What a manifest lists, read from its bytes. The bytes themselves are never written again: their digest is their name.

Only what the registry needs is read, so that media types it doesn't know, and manifests without one, are kept as they are.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from api.registry.errors import ManifestInvalidError

INDEX_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"

_MEDIA_TYPE = re.compile(r"[!-~][ -~]{0,254}")
"""One line of ASCII: it stands on the first line of the manifest's file, and in the header of every answer."""

MANIFEST_LIMIT = 4 * 1024 * 1024
"""At most so many bytes in one manifest (the spec asks for this much at least)."""


@dataclass(frozen=True)
class StoredManifest:
    """A manifest as it was pushed. `media_type` is the Content-Type of the push."""

    digest: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class ManifestContent:
    """What a manifest says about others. `foreign_blobs` name a URL of their own and may be missing here."""

    media_type: str
    artifact_type: str | None
    annotations: dict[str, str]
    blobs: tuple[str, ...]
    foreign_blobs: tuple[str, ...]
    manifests: tuple[str, ...]
    subject: str | None


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """The digest of some bytes. `algorithm` is one of `names.ALGORITHMS`."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def _descriptors(fields: dict[str, object], key: str) -> Iterator[tuple[str, bool]]:
    """The digest, and whether a URL is given, of each descriptor in a list (or of the one descriptor) under `key`."""
    value = fields.get(key)
    if value is None:
        return
    for descriptor in value if isinstance(value, list) else [value]:
        if not isinstance(descriptor, dict) or not isinstance(descriptor.get("digest"), str):
            raise ManifestInvalidError(f"{key} must be a descriptor or a list of descriptors, each with a digest")
        yield descriptor["digest"], bool(descriptor.get("urls"))


def _text(fields: dict[str, object], key: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise ManifestInvalidError(f"{key} must be a text")
    return value or None


def check_media_type(text: str) -> str:
    """`text`, if it is a media type that a header can carry, parameters and all. Raises ManifestInvalidError."""
    if _MEDIA_TYPE.fullmatch(text) is None:
        raise ManifestInvalidError(f"{text[:80]!r} is not a media type: write it like {MANIFEST_MEDIA_TYPE}")
    return text


def read_manifest(content: bytes) -> ManifestContent:
    """What the manifest lists. Raises ManifestInvalidError if it isn't a JSON object, or its descriptors can't be read."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalidError(f"the manifest is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ManifestInvalidError("the manifest is not a JSON object")
    blobs = [found for key in ("config", "layers", "blobs") for found in _descriptors(fields, key)]
    config = fields.get("config")
    annotations = fields.get("annotations")
    return ManifestContent(
        media_type=_text(fields, "mediaType") or (INDEX_MEDIA_TYPE if "manifests" in fields else MANIFEST_MEDIA_TYPE),
        artifact_type=_text(fields, "artifactType") or (_text(config, "mediaType") if isinstance(config, dict) else None),
        annotations=annotations if isinstance(annotations, dict) else {},
        blobs=tuple(digest for digest, has_url in blobs if not has_url),
        foreign_blobs=tuple(digest for digest, has_url in blobs if has_url),
        manifests=tuple(digest for digest, _ in _descriptors(fields, "manifests")),
        subject=next((digest for digest, _ in _descriptors(fields, "subject")), None),
    )


def referrers_index(referrers: list[StoredManifest], artifact_type: str | None) -> bytes:
    """The answer of the referrers API: an index with a descriptor of each manifest, optionally only those of one type."""
    descriptors: list[dict[str, object]] = []
    for manifest in referrers:
        content = read_manifest(manifest.content)
        if artifact_type is not None and content.artifact_type != artifact_type:
            continue
        descriptor: dict[str, object] = {
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": len(manifest.content),
        }
        if content.artifact_type:
            descriptor["artifactType"] = content.artifact_type
        if content.annotations:
            descriptor["annotations"] = content.annotations
        descriptors.append(descriptor)
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": descriptors}).encode()
