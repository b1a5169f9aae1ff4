"""An IMS that listens, with a release whose artifact is in its registry, and the command line against it."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from ims_driver import Agent, Body, Ims
from prompt_server import PromptServer
from pydantic import TypeAdapter
from shop import built, module

from agent.oci.client import RegistryClient
from agent.oci.digest import digest_of
from agent.oci.manifest import IMAGE_MANIFEST, canonical_json
from agent.oci.push import push_bytes
from agent.oci.signature import sign
from agent.oci.token import Credential
from agent.oci.vendor_key import VendorKey
from agent.trust.claims import claims_of
from api.contract.components import ComponentConfig


@asynccontextmanager
async def listening(ims: Ims) -> AsyncIterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = PromptServer(uvicorn.Config(ims.app, lifespan="off", log_level="error", ws="none", access_log=False))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.end()
            await asyncio.wait_for(task, 60)


async def released(ims: Ims, url: str, key: VendorKey, *, config_signed: bool = True) -> Body:
    """A release of one component, whose artifact is built, pushed and signed; if need be, for no config."""
    await ims.ok("POST", "/v1/apps", {"name": "tiny", "inputs": []})
    await ims.ok("POST", "/v1/apps/tiny/components", {"name": "web", "config": module()})
    builder = await Agent.enrolled(ims)
    release = await ims.ok("POST", "/v1/releases", {"app_id": "tiny"})
    lease = await builder.take("build")
    access = lease["payload"]["registry"]
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "config": {"mediaType": "application/x", "digest": digest_of(b"{}"), "size": 2},
            "layers": [{"mediaType": "application/x", "digest": digest_of(b"layer"), "size": 5}],
        }
    )
    async with httpx.AsyncClient(trust_env=False) as http:
        registry = RegistryClient(url, Credential(access["username"], access["password"]), http)
        for content in (b"{}", b"layer"):
            await push_bytes(registry, access["repository"], content)
        await registry.put_manifest(access["repository"], digest_of(manifest), manifest, IMAGE_MANIFEST)
        config: TypeAdapter[ComponentConfig] = TypeAdapter(ComponentConfig)
        claims = claims_of("tiny", "web", config.validate_python(lease["payload"]["config"])) if config_signed else None
        await sign(registry, access["repository"], digest_of(manifest), key, "ims.test/tiny/web", claims)
    result = built(lease["payload"])
    result["artifact"]["digest"] = digest_of(manifest)
    await builder.succeed(lease, result)
    return release


async def exclave(*arguments: str, **env: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "api.cli",
        *arguments,
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()
