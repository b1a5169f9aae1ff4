"""`exclave bundle create` and `verify` against an IMS that listens, with an artifact in its registry."""

from pathlib import Path

import pytest
from ims_driver import Ims
from listening_ims import exclave, listening, released

from agent.oci.vendor_key import VendorKey

pytestmark = pytest.mark.anyio


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
