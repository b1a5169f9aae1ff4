"""A version of the agent as an OCI artifact: Python wheels, each a layer, for whatever machines the vendor means to serve.

An image manifest of the type AGENT_TYPE in the repository AGENT_REPOSITORY, tagged with the version. Its config says the
version; each layer is a wheel, titled with its file name (PEP 427). There is one of Exclave itself, and one of each package
that must be newer than what the machines have; wheels for several platforms may stand beside each other, and an agent takes
those that fit. It is signed as every artifact is, with the claim CLAIM: nothing else that the vendor has signed is an agent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pydantic import ValidationError

from agent.failure import CodedError
from agent.oci.digest import digest_of, digest_of_file
from agent.oci.manifest import IMAGE_MANIFEST, MANIFEST_BYTES, TITLE, Descriptor, canonical_json
from agent.oci.push import push_bytes, push_file
from agent.oci.signature import sign
from agent.oci.store import Readable, Signable
from agent.oci.vendor_key import VendorKey
from api.contract.agents import AGENT_REPOSITORY as REPOSITORY
from api.contract.agents import AgentVersion
from api.contract.base import Digest, Model

AGENT_TYPE = "application/vnd.exclave.agent.v1+json"
WHEEL_TYPE = "application/vnd.exclave.agent.wheel.v1+zip"
CLAIM = "dev.exclave.agent"
"""With the version as its value."""

_PACKAGE = canonicalize_name("exclave")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*\.whl")
_MOST_BYTES = 512 * 1024 * 1024


class NotAnAgentError(CodedError):
    """The artifact isn't a version of the agent, or none for this machine."""

    code = "not_an_agent"
    remedy = "Ask the vendor to publish it again, with `exclave agent publish` and wheels that fit this machine."


class WheelsWrongError(CodedError):
    """What was given to publish isn't a version of the agent."""

    code = "wheels_wrong"
    remedy = "Give the wheel of one version of Exclave, and those of the packages that have to come with it."


class PublishedAlreadyError(CodedError):
    """A version is what it was published as, for good."""

    code = "published_already"
    remedy = "Give the changed agent a version of its own."


class AgentConfig(Model):
    """What the artifact's config says."""

    version: AgentVersion


@dataclass(frozen=True)
class Published:
    """What was pushed and signed."""

    version: str
    digest: Digest


def claims_of(version: str) -> dict[str, str]:
    """The claims under which a version is signed."""
    return {CLAIM: version}


async def publish(wheels: Sequence[Path], registry: Signable, key: VendorKey, host: str) -> Published:
    """Push wheels as a version of the agent, and sign it. The same again is harmless.

    `host` is the registry's, for the signature's readers. Raises WheelsWrongError, PublishedAlreadyError, and the errors of
    RegistryClient.
    """
    version = _version_of(wheels)
    try:
        config = canonical_json(AgentConfig(version=version).model_dump())
    except ValidationError:
        raise WheelsWrongError(f"{version} is no version that can be published: write it like 0.2.0") from None
    layers = []
    for wheel in sorted(wheels, key=lambda path: path.name):
        digest, size = digest_of_file(wheel), wheel.stat().st_size
        layers.append({"mediaType": WHEEL_TYPE, "digest": digest, "size": size, "annotations": {TITLE: wheel.name}})
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "artifactType": AGENT_TYPE,
            "config": {"mediaType": AGENT_TYPE, "digest": digest_of(config), "size": len(config)},
            "layers": layers,
        }
    )
    there = await registry.find_manifest(REPOSITORY, version)
    if there is not None and there.digest != digest_of(manifest):
        raise PublishedAlreadyError(f"Exclave {version} is published already, with other wheels ({there.digest})")
    if there is None:
        await push_bytes(registry, REPOSITORY, config)
        for wheel, layer in zip(sorted(wheels, key=lambda path: path.name), layers, strict=True):
            await push_file(registry, REPOSITORY, wheel, str(layer["digest"]), wheel.stat().st_size)
        await registry.put_manifest(REPOSITORY, version, manifest, IMAGE_MANIFEST)
    await sign(registry, REPOSITORY, digest_of(manifest), key, f"{host}/{REPOSITORY}", claims_of(version))
    return Published(version, digest_of(manifest))


def _version_of(wheels: Sequence[Path]) -> str:
    versions = set()
    for wheel in wheels:
        try:
            name, version, _, _ = parse_wheel_filename(wheel.name)
        except InvalidWheelFilename as error:
            raise WheelsWrongError(f"{wheel.name} is no wheel: {error}") from None
        if name == _PACKAGE:
            versions.add(str(version))
    if len(versions) != 1:
        said = ", ".join(sorted(versions)) or "none"
        raise WheelsWrongError(f"one version of Exclave makes an agent, and the wheels have: {said}")
    return versions.pop()


async def fitting_wheels(registry: Readable, digest: Digest, version: str) -> list[Descriptor]:
    """The layers of an artifact that this machine's Python can use: of each package the one that fits best.

    Raises NotAnAgentError, and the errors of RegistryClient.
    """
    body = (await registry.get_manifest(REPOSITORY, digest)).body()
    if body.artifact_type != AGENT_TYPE or body.config is None or body.config.media_type != AGENT_TYPE:
        raise NotAnAgentError(f"{digest} is no agent, but {body.artifact_type or 'something else'}")
    if body.config.size > MANIFEST_BYTES or sum(layer.size for layer in body.layers) > 8 * _MOST_BYTES:
        raise NotAnAgentError(f"{digest} is larger than an agent can be")
    blob = await registry.read_blob(REPOSITORY, body.config.digest, body.config.size)
    try:
        config = AgentConfig.model_validate_json(blob)
    except ValidationError as error:
        raise NotAnAgentError(f"the config of {digest} can't be read: {error.errors()[0]['msg']}") from None
    if config.version != version:
        raise NotAnAgentError(f"{digest} is Exclave {config.version}, not {version}")
    found = _best(body.layers)
    own = [layer for layer in found if _named(layer)[0] == _PACKAGE]
    if not own or _named(own[0])[1] != Version(version):
        raise NotAnAgentError(f"{digest} has no wheel of Exclave {version} that fits this machine's Python")
    if sum(layer.size for layer in found) > _MOST_BYTES:
        raise NotAnAgentError(f"{digest} has more than {_MOST_BYTES >> 20} MiB of wheels for this machine")
    return found


def _best(layers: Sequence[Descriptor]) -> list[Descriptor]:
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    best: dict[str, tuple[int, Descriptor]] = {}
    for layer in layers:
        if layer.media_type != WHEEL_TYPE:
            raise NotAnAgentError(f"the agent has a layer of the type {layer.media_type!r}")
        title = layer.annotations.get(TITLE, "")
        try:
            name, _, _, tags = parse_wheel_filename(title if _FILE_NAME.fullmatch(title) else "")
        except InvalidWheelFilename as error:
            raise NotAnAgentError(f"the agent has a layer that is no wheel: {error}") from None
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if rank is not None and (name not in best or rank < best[name][0]):
            best[name] = (rank, layer)
    return [layer for _, layer in best.values()]


def _named(layer: Descriptor) -> tuple[str, Version]:
    name, version, _, _ = parse_wheel_filename(layer.annotations[TITLE])
    return name, version
