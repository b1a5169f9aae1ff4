"""`exclave bundle create` and `verify` against an IMS that listens, with an artifact in its registry."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from ims_driver import Agent, Body, Ims
from shop import built, module

from agent.oci.client import RegistryClient
from agent.oci.digest import digest_of
from agent.oci.manifest import IMAGE_MANIFEST, canonical_json
from agent.oci.push import push_bytes
from agent.oci.signature import sign
from agent.oci.token import Credential
from agent.oci.vendor_key import VendorKey

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def listening(ims: Ims) -> AsyncIterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(ims.app, lifespan="off", log_level="error", ws="none", access_log=False))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, 60)


async def released(ims: Ims, url: str, key: VendorKey) -> Body:
    """A release of one component, whose artifact is built, pushed and signed."""
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
        await sign(registry, access["repository"], digest_of(manifest), key, "ims.test/tiny/web")
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


async def test_a_release_of_an_ims_becomes_a_bundle(ims: Ims, tmp_path: Path) -> None:
    key = VendorKey.load_or_create(tmp_path / "vendor.key")
    (tmp_path / "vendor.pub").write_text(key.public_pem)
    path, signing = str(tmp_path / "tiny-1.tar"), str(tmp_path / "vendor.key")
    async with listening(ims) as url:
        release = await released(ims, url, key)
        token = (await ims.ok("POST", "/v1/tokens", {"name": "reader", "role": "viewer"}))["secret"]
        arguments = ("bundle", "create", release["id"], "--url", url, "--output", path, "--signing-key", signing)
        code, said = await exclave(*arguments, EXCLAVE_TOKEN=token)
        assert code == 0, said
        code, said = await exclave(*arguments, EXCLAVE_TOKEN="exc_wrong")
        assert (code, "Traceback" in said) == (1, False), said
    code, said = await exclave("bundle", "verify", path, "--vendor-key", str(tmp_path / "vendor.pub"))
    assert code == 0, said
    assert "tiny release 1" in said
    assert "web: tiny/web@sha256:" in said
