"""`exclave releases sign` against an IMS that listens: it signs what the builds have signed, and nothing else."""

import json
from pathlib import Path

import pytest
from ims_driver import Ims
from listening_ims import exclave, listening, released

from agent.oci.vendor_key import VendorKey
from agent.trust.notices import fingerprint
from agent.trust.releases import opened_release

pytestmark = pytest.mark.anyio


async def test_a_release_is_checked_shown_signed_and_listed_as_signed(ims: Ims, tmp_path: Path) -> None:
    key = VendorKey.load_or_create(tmp_path / "vendor.key")
    bad = "sha256:" + "b" * 64
    (tmp_path / "revoked").write_text(f"{bad}  # v1\n")
    async with listening(ims) as url:
        release = await released(ims, url, key)
        token = (await ims.ok("POST", "/v1/tokens", {"name": "ci", "role": "editor"}))["secret"]
        given = ("--url", url, "--signing-key", str(tmp_path / "vendor.key"))
        code, said = await exclave("releases", "sign", release["id"], *given, EXCLAVE_TOKEN=token)
        assert code == 1, said  # nobody says yes
        assert "web: new  tiny/web@sha256:" in said
        assert (await ims.ok("GET", f"/v1/releases/{release['id']}"))["signed_by"] is None

        also = ("--revoked", str(tmp_path / "revoked"), "--yes")
        code, said = await exclave("releases", "sign", release["id"], *given, *also, EXCLAVE_TOKEN=token)
        assert code == 0, said
        assert f"revokes {bad}" in said
        kept = await ims.ok("GET", f"/v1/releases/{release['id']}/signature")
        assert opened_release(kept["envelope"], [key.public_pem]).document.revoked == [bad]

        again = await ims.ok("POST", "/v1/releases", {"app_id": "tiny"})
        code, said = await exclave("releases", "sign", again["id"], *given, "--yes", "--json", EXCLAVE_TOKEN=token)
        assert code == 0, said
        assert "against release 1, the last that is signed" in said
        assert "web: as before" in said
        told = json.loads(said.splitlines()[-1])
        assert (told["app"], told["number"], told["signed_by"]) == ("tiny", 2, fingerprint(key.public_pem))
        code, said = await exclave("releases", "list", "--url", url, EXCLAVE_TOKEN=token)
        assert (code, said.count(fingerprint(key.public_pem)[:19])) == (0, 2), said


async def test_what_the_builds_have_not_signed_is_not_signed(ims: Ims, tmp_path: Path) -> None:
    builders = VendorKey.load_or_create(tmp_path / "builders.key")
    own = VendorKey.load_or_create(tmp_path / "vendor.key")
    (tmp_path / "builders.pub").write_text(builders.public_pem)
    async with listening(ims) as url:
        release = await released(ims, url, builders, config_signed=False)
        token = (await ims.ok("POST", "/v1/tokens", {"name": "ci", "role": "editor"}))["secret"]
        given = ("--url", url, "--signing-key", str(tmp_path / "vendor.key"), "--yes")
        code, said = await exclave("releases", "sign", release["id"], *given, EXCLAVE_TOKEN=token)
        assert code == 1, said
        assert "isn't signed with the vendor's key" in said
        given = (*given, "--build-key", str(tmp_path / "builders.pub"))
        code, said = await exclave("releases", "sign", release["id"], *given, EXCLAVE_TOKEN=token)
        assert code == 1, said
        assert "is signed by the vendor, but not for dev.exclave.app=tiny" in said
        assert (await ims.ok("GET", f"/v1/releases/{release['id']}"))["signed_by"] is None
    assert own.public_pem not in said
