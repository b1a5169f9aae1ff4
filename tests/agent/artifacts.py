"""Artifacts of all shapes, pushed into a registry for the tests to copy."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from registry_server import sha256

from agent.oci.client import RegistryClient
from agent.oci.manifest import DOCKER_MANIFEST, IMAGE_INDEX, IMAGE_MANIFEST
from agent.oci.provenance import BuildRecord, Material
from agent.oci.push import push_bytes

EMPTY = b"{}"


async def push_manifest(
    client: RegistryClient, repository: str, document: Mapping[str, Any], media_type: str, tag: str | None = None
) -> dict[str, Any]:
    """Push a manifest, indented so that nobody can have re-serialised it unnoticed; gives its descriptor."""
    data = json.dumps(document, indent=3).encode()
    await client.put_manifest(repository, tag or sha256(data), data, media_type)
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


async def blob(client: RegistryClient, repository: str, data: bytes, media_type: str) -> dict[str, Any]:
    await push_bytes(client, repository, data)
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


async def image(client: RegistryClient, repository: str, content: bytes = b"layer" * 1000, **fields: Any) -> dict[str, Any]:
    """An image manifest of one layer."""
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "config": await blob(client, repository, EMPTY, "application/vnd.oci.image.config.v1+json"),
        "layers": [await blob(client, repository, content, "application/vnd.oci.image.layer.v1.tar")],
    }
    return await push_manifest(client, repository, document | fields, IMAGE_MANIFEST)


async def without_media_type(client: RegistryClient, repository: str) -> dict[str, Any]:
    """What helm pushes."""
    document = {
        "schemaVersion": 2,
        "config": await blob(client, repository, b'{"name":"chart"}', "application/vnd.cncf.helm.config.v1+json"),
        "layers": [await blob(client, repository, b"chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")],
    }
    return await push_manifest(client, repository, document, IMAGE_MANIFEST)


async def unknown_types(client: RegistryClient, repository: str) -> dict[str, Any]:
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "artifactType": "application/vnd.acme.thing",
        "config": await blob(client, repository, b"[1]", "application/vnd.acme.config"),
        "layers": [await blob(client, repository, b"x", "archive/acme"), await blob(client, repository, b"", "text/empty")],
    }
    return await push_manifest(client, repository, document, IMAGE_MANIFEST)


async def docker_image(client: RegistryClient, repository: str) -> dict[str, Any]:
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": await blob(client, repository, EMPTY, "application/vnd.docker.container.image.v1+json"),
        "layers": [await blob(client, repository, b"gz", "application/vnd.docker.image.rootfs.diff.tar.gzip")],
    }
    return await push_manifest(client, repository, document, DOCKER_MANIFEST)


async def index(client: RegistryClient, repository: str) -> dict[str, Any]:
    """Two platforms, one of which lies in an index of its own, with an artifactType in a descriptor."""
    amd64 = {**await image(client, repository, b"amd64"), "platform": {"os": "linux", "architecture": "amd64"}}
    arm64 = {**await image(client, repository, b"arm64"), "artifactType": "application/vnd.acme.thing"}
    inner = await push_manifest(
        client, repository, {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [arm64]}, IMAGE_INDEX
    )
    document = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [amd64, inner], "annotations": {"a": "b"}}
    return await push_manifest(client, repository, document, IMAGE_INDEX)


SHAPES = {
    "image": image,
    "without mediaType": without_media_type,
    "unknown media types": unknown_types,
    "docker image": docker_image,
    "index": index,
}

RECORD = BuildRecord(
    build_id="bld_1",
    name="acme/network",
    builder="https://ims.example.com/agents/agt_1",
    kind="terraform_module",
    parameters={"kind": "terraform_module", "bundle_engine": "auto"},
    source="git+https://git.example.com/acme/product",
    revision="0123456789abcdef0123456789abcdef01234567",
    started=datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC),
    finished=datetime(2026, 11, 1, 12, 0, 9, tzinfo=UTC),
    materials=(
        Material(
            "hashicorp/aws", "6.2.0", purl="pkg:terraform/hashicorp/aws@6.2.0", sha256="a" * 64, uri="https://x.test/aws.zip"
        ),
        Material("tofu", "1.10.0", "application"),
    ),
)
