"""Images of one and of several platforms, pushed into a registry for the tests to build from."""

import json
from typing import Any

from registry_server import RegistryServer, sha256

from agent.oci.manifest import IMAGE_INDEX, IMAGE_MANIFEST
from agent.oci.push import push_bytes

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


async def push_image(
    server: RegistryServer, repository: str, tag: str, platform: str = "linux/amd64", content: str = ""
) -> Any:
    """An image of one platform; gives its descriptor."""
    client = server.client()
    client.will_push(repository)
    os, architecture, *variant = platform.split("/")
    config = json.dumps({"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}).encode()
    layer = f"the layer of {platform} {content}".encode()
    await push_bytes(client, repository, config)
    await push_bytes(client, repository, layer)
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": sha256(config), "size": len(config)},
        "layers": [{"mediaType": _LAYER, "digest": sha256(layer), "size": len(layer)}],
    }
    data = json.dumps(document, indent=1).encode()
    await client.put_manifest(repository, tag, data, IMAGE_MANIFEST)
    return {"mediaType": IMAGE_MANIFEST, "digest": sha256(data), "size": len(data)}


async def push_index(server: RegistryServer, repository: str, tag: str, *platforms: str) -> dict[str, str]:
    """An index of images, with an attestation for the first as BuildKit makes it; gives the digest of each, and `index`."""
    entries = []
    digests = {}
    for platform in platforms:
        descriptor = await push_image(server, repository, f"{tag}-{platform.replace('/', '-')}", platform)
        os, architecture, *variant = platform.split("/")
        names = {"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        entries.append({**descriptor, "platform": names})
        digests[platform] = descriptor["digest"]
    attestation = await push_image(server, repository, f"{tag}-attestation", "unknown/unknown")
    entries.append(
        {
            **attestation,
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.digest": digests[platforms[0]]},
        }
    )
    data = json.dumps({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": entries}, indent=1).encode()
    await server.client().put_manifest(repository, tag, data, IMAGE_INDEX)
    return {**digests, "attestation": attestation["digest"], "index": sha256(data)}
