"""Fetch a bundle from a registry and unpack it, with every byte checked against the digest before it is used."""

import asyncio
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.bundle.manifest import (
    ARTIFACT_TYPE,
    CONFIG_TYPE,
    ENGINE_FOLDER,
    ENGINE_TYPE,
    PROVIDER_TYPE,
    PROVIDERS,
    SOURCE_TYPE,
    BundleConfig,
)
from agent.bundle.platform import Platform, current_platform
from agent.bundle.zip import extract_zip
from agent.failure import CodedError
from agent.oci.client import RegistryClient
from agent.oci.concurrency import run_all
from agent.oci.digest import hex_of
from agent.oci.download import download_blob
from agent.oci.manifest import MANIFEST_BYTES, TITLE, Descriptor, ManifestBody

_PROVIDER_TITLE = re.compile(r"providers(/[A-Za-z0-9][A-Za-z0-9.:_-]*){3}/terraform-provider-[A-Za-z0-9._+-]+\.zip")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONFIG = "config.json"
_SOURCE = "source"


class NotABundleError(CodedError):
    """The artifact isn't a Terraform bundle, or one of a version that this agent doesn't know."""

    code = "not_a_bundle"
    remedy = "Build the component again; if that doesn't help, bring this agent to the build agent's version."


class WrongPlatformError(CodedError):
    """The bundle has providers or an engine for another platform than this machine's."""

    code = "wrong_platform"
    remedy = "Name the install agent's platform in the component's `platforms`, and make a release of it."


@dataclass(frozen=True)
class UnpackedBundle:
    """A bundle on disk.

    `mirror` is a packed filesystem mirror, empty if the module needs no providers. `engine` is the file of the bundled
    engine, if there is one: a program, or a library whose name ends in `.so`.
    """

    source: Path
    mirror: Path
    engine: Path | None
    config: BundleConfig


async def fetch_bundle(
    client: RegistryClient, repository: str, digest: str, into: Path, *, platform: Platform | None = None
) -> UnpackedBundle:
    """Unpack the bundle `digest`, or of an index the one for `platform`, as a folder of `into`, which is made if need be.

    A folder that is there already is taken as it is. It appears whole or not at all, however this ends. Raises NotABundleError,
    WrongPlatformError, UnsafeZipError, and the errors of RegistryClient: DigestMismatchError for a changed byte.
    """
    folder = into / hex_of(digest)
    if not folder.exists():
        into.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=into, prefix=".partial-"))
        try:
            await _fetch(client, repository, digest, temporary, platform or current_platform())
            await asyncio.to_thread(_move, temporary, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, temporary, ignore_errors=True)
    return _unpacked(folder)


async def _fetch(client: RegistryClient, repository: str, digest: str, folder: Path, platform: Platform) -> None:
    body = await _for_platform(client, repository, digest, platform)
    if body.artifact_type != ARTIFACT_TYPE or body.config is None or body.config.media_type != CONFIG_TYPE:
        raise NotABundleError(f"{repository}@{digest} is not a Terraform bundle, but {body.artifact_type or 'something else'}")
    if body.config.size > MANIFEST_BYTES:
        raise NotABundleError(f"{repository}@{digest} has a config of {body.config.size} bytes")
    blob = await client.read_blob(repository, body.config.digest, body.config.size)
    config = check_config(blob, body, platform)
    layers = folder / "layers"
    layers.mkdir()
    await download_blobs(client, repository, body.layers, layers)
    await asyncio.to_thread(unpack_layers, body.layers, config, layers, folder)
    shutil.rmtree(layers)
    (folder / _CONFIG).write_bytes(blob)


async def _for_platform(client: RegistryClient, repository: str, digest: str, platform: Platform) -> ManifestBody:
    """The manifest of the bundle for this platform: `digest` itself, or the one of its index."""
    body = (await client.get_manifest(repository, digest)).body()
    if body.artifact_type != ARTIFACT_TYPE or not body.manifests:
        return body
    there = {str(found): entry.digest for entry in body.manifests if (found := _platform(entry)) is not None}
    if str(platform) not in there:
        raise WrongPlatformError(
            f"the bundle is for {', '.join(sorted(there))}, and this machine is {platform}",
            remedy=f"Add {platform.os}/{platform.architecture} to the component's `platforms`, and make a release of it.",
        )
    return (await client.get_manifest(repository, there[str(platform)])).body()


def _platform(entry: Descriptor) -> Platform | None:
    named = entry.others.get("platform")
    try:
        return Platform.model_validate(named)
    except ValidationError:
        return None


def check_config(blob: bytes, body: ManifestBody, platform: Platform) -> BundleConfig:
    """The config, if it and the manifest agree and this machine can run the bundle."""
    try:
        config = BundleConfig.model_validate_json(blob)
    except ValidationError as error:
        raise NotABundleError(f"the bundle's config can't be read: {error.errors()[0]['msg']}") from None
    listed = {layer.annotations.get(TITLE, ""): layer.digest for layer in body.layers}
    if listed != config.layers or [layer.media_type for layer in body.layers].count(SOURCE_TYPE) != 1:
        raise NotABundleError("the bundle's config names other layers than its manifest")
    if config.platform != platform and len(body.layers) > 1:
        raise WrongPlatformError(f"the bundle is for {config.platform}, and this machine is {platform}")
    return config


def unpack_layers(layers: list[Descriptor], config: BundleConfig, downloads: Path, folder: Path) -> None:
    """Put each layer, which lies in `downloads` under its hex digest, where it belongs in `folder`. Blocks.

    Raises NotABundleError for a title that isn't what its kind of layer has, and UnsafeZipError.
    """
    (folder / PROVIDERS).mkdir()
    for layer in layers:
        title = layer.annotations.get(TITLE, "")
        download = downloads / hex_of(layer.digest)
        if layer.media_type == SOURCE_TYPE:
            extract_zip(download, folder / _SOURCE)
        elif layer.media_type == PROVIDER_TYPE and _PROVIDER_TITLE.fullmatch(title):
            target = folder / title
            target.parent.mkdir(parents=True, exist_ok=True)
            download.rename(target)
        elif layer.media_type == ENGINE_TYPE and config.engine.file and _FILE_NAME.fullmatch(config.engine.file):
            extract_zip(download, folder / ENGINE_FOLDER)
        else:
            raise NotABundleError(f"the bundle has a layer {title!r} of the type {layer.media_type!r}")


async def download_blobs(client: RegistryClient, repository: str, layers: list[Descriptor], folder: Path) -> None:
    """Download each layer into a file of `folder` with its hex digest as name, four at a time."""
    slots = asyncio.Semaphore(4)

    async def download(layer: Descriptor) -> None:
        async with slots:
            await download_blob(client, repository, layer.digest, layer.size, folder / hex_of(layer.digest))

    await run_all(download(layer) for layer in layers)


def _move(temporary: Path, folder: Path) -> None:
    temporary.chmod(0o755)
    try:
        temporary.rename(folder)
    except OSError:
        # Somebody else has put the same bundle there meanwhile.
        if not folder.exists():
            raise


def _unpacked(folder: Path) -> UnpackedBundle:
    config = BundleConfig.model_validate_json((folder / _CONFIG).read_bytes())
    engine = folder / ENGINE_FOLDER / config.engine.file if config.engine.file else None
    return UnpackedBundle(folder / _SOURCE, folder / PROVIDERS, engine, config)
