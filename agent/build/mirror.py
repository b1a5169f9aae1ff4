"""Copy an image into the vendor's repository by digest: all its platforms, or a chosen few."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.build.image_reference import ImageReference
from agent.failure import CodedError
from agent.oci.client import RegistryClient
from agent.oci.copy import copy_artifact
from agent.oci.digest import digest_of
from agent.oci.manifest import DOCKER_LIST, IMAGE_INDEX, Descriptor, Manifest, canonical_json, descriptor_json

_ATTESTS = "vnd.docker.reference.digest"
"""BuildKit's attestations stand in the index beside the image that they are about, which this annotation names."""

_CONFIG_BYTES = 4 * 1024 * 1024


class PlatformMissingError(CodedError):
    """The image isn't there for a platform that the config asks for."""

    code = "platform_missing"


class _Platform(BaseModel):
    """The platform of an index entry or of an image's config: the same fields in both."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    os: str = ""
    architecture: str = ""
    variant: str = ""

    def is_called(self, name: str) -> bool:
        """`linux/arm64` means any variant of it; `linux/arm/v7` that one."""
        parts = [self.os, self.architecture, self.variant]
        return parts[: name.count("/") + 1] == name.split("/")

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True)
class Mirrored:
    """A manifest that is now in the vendor's repository, of `manifest_size` bytes. `size` counts all that came with it."""

    digest: str
    media_type: str
    artifact_type: str
    size: int
    manifest_size: int


async def mirror(
    source: RegistryClient,
    image: ImageReference,
    found: Manifest,
    target: RegistryClient,
    repository: str,
    *,
    platforms: Sequence[str] = (),
    tag: str | None = None,
) -> Mirrored:
    """Copy `found`, the manifest that `image` stands for now, with signatures and referrers, byte for byte.

    Nothing is changed, but for one case: a few platforms of an index make a new index, whose entries are the old ones.
    Raises PlatformMissingError and the errors of RegistryClient.
    """
    chosen = await _chosen(source, image, found, platforms)
    copied = 0
    for digest in chosen.copied:
        report = await copy_artifact(
            source,
            target,
            source_repository=image.repository,
            target_repository=repository,
            digest=digest,
        )
        copied += report.copied_bytes + report.skipped_bytes
    if chosen.made:
        await target.put_manifest(repository, chosen.manifest.digest, chosen.manifest.data, chosen.manifest.media_type)
        copied += chosen.manifest.size
    if tag is not None:
        await target.put_manifest(repository, tag, chosen.manifest.data, chosen.manifest.media_type)
    body = chosen.manifest.body()
    type_ = body.artifact_type or (body.config.media_type if body.config else chosen.manifest.media_type)
    return Mirrored(chosen.manifest.digest, chosen.manifest.media_type, type_, copied, chosen.manifest.size)


@dataclass(frozen=True)
class _Chosen:
    """The manifest to have in the end, the digests to copy for it, and whether it is one that we made."""

    manifest: Manifest
    copied: tuple[str, ...]
    made: bool = False


async def _chosen(
    source: RegistryClient, image: ImageReference, found: Manifest, platforms: Sequence[str], *, exactly_one: bool = False
) -> _Chosen:
    body = found.body()
    if not platforms:
        return _Chosen(found, (found.digest,))
    if found.media_type not in (IMAGE_INDEX, DOCKER_LIST):
        await _check_single(source, image, found, platforms)
        return _Chosen(found, (found.digest,))
    entries = [entry for entry in body.manifests if any(_platform(entry).is_called(name) for name in platforms)]
    for name in platforms:
        if not any(_platform(entry).is_called(name) for entry in entries):
            there = ", ".join(str(_platform(entry)) for entry in body.manifests if _ATTESTS not in entry.annotations)
            raise PlatformMissingError(
                f"{image} isn't there for {name!r}", remedy=f"It is there for: {there}.", field="config.platforms"
            )
    if len(entries) == 1 or exactly_one:
        only = await source.get_manifest(image.repository, entries[0].digest)
        return _Chosen(only, (only.digest,))
    digests = {entry.digest for entry in entries}
    entries += [entry for entry in body.manifests if entry.annotations.get(_ATTESTS) in digests]
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": found.media_type,
        "manifests": [descriptor_json(entry) for entry in entries],
        **({"annotations": body.annotations} if body.annotations else {}),
    }
    data = canonical_json(document)
    return _Chosen(Manifest(data, found.media_type, digest_of(data)), tuple(entry.digest for entry in entries), made=True)


async def _check_single(source: RegistryClient, image: ImageReference, found: Manifest, platforms: Sequence[str]) -> None:
    """An image of one platform says in its config which one that is."""
    config = found.body().config
    platform = _Platform()
    if config is not None and config.size <= _CONFIG_BYTES:
        with suppress(ValidationError):  # something else than an image is for no platform
            platform = _Platform.model_validate_json(await source.read_blob(image.repository, config.digest, config.size))
    if len(platforms) != 1 or not platform.is_called(platforms[0]):
        raise PlatformMissingError(
            f"{image} isn't there for all of {', '.join(platforms)}",
            remedy=f"It is there for {platform} alone." if str(platform) else "It names no platform; leave `platforms` out.",
            field="config.platforms",
        )


def _platform(entry: Descriptor) -> _Platform:
    try:
        return _Platform.model_validate(entry.others.get("platform") or {})
    except ValidationError:
        return _Platform()  # what says it in words of its own is for no platform that anyone can name


async def single(source: RegistryClient, image: ImageReference, found: Manifest, platform: str) -> Manifest:
    """The image of one platform that `found` is or lists. Raises PlatformMissingError."""
    return (await _chosen(source, image, found, (platform,), exactly_one=True)).manifest
