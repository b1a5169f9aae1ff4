"""`exclave releases sign` against an IMS that listens: it signs what the builds have signed, and nothing else."""

import asyncio
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from google.cloud import kms
from ims_driver import Ims
from kms_stand_ins import ARN, VERSION, GoogleKms, aws_kms
from listening_ims import exclave, listening, released

from agent.oci.kms_key import open_key
from agent.oci.vendor_key import VendorKey
from agent.trust.notices import fingerprint
from agent.trust.releases import opened_release
from agent.trust.sign_cli import sign_command

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


@pytest.mark.parametrize("setting", [f"awskms:{ARN}", f"gcpkms:{VERSION}"])
async def test_a_key_in_a_kms_signs_a_release(ims: Ims, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    private = ec.generate_private_key(ec.SECP256R1())

    def aws_client(service: str, **given: Any) -> Any:
        assert (service, given) == ("kms", {"region_name": "eu-west-1"})
        return aws_kms(private)

    monkeypatch.setattr(boto3, "client", aws_client)
    monkeypatch.setattr(kms, "KeyManagementServiceClient", lambda: GoogleKms(private))
    key = open_key(setting, tmp_path)
    builders = VendorKey.load_or_create(tmp_path / "builders.key")
    (tmp_path / "builders.pub").write_text(builders.public_pem)
    async with listening(ims) as url:
        release = await released(ims, url, builders)
        token = (await ims.ok("POST", "/v1/tokens", {"name": "ci", "role": "editor"}))["secret"]
        given = [release["id"], "--url", url, "--signing-key", setting, "--build-key", str(tmp_path / "builders.pub"), "--yes"]
        said = await asyncio.to_thread(CliRunner().invoke, sign_command, given, env={"EXCLAVE_TOKEN": token})
        assert said.exit_code == 0, said.output
        kept = await ims.ok("GET", f"/v1/releases/{release['id']}/signature")
    signed = opened_release(kept["envelope"], [builders.public_pem, key.public_pem])
    assert (signed.document.app, signed.document.number, signed.key) == ("tiny", 1, key.public_pem)
    assert kept["signed_by"] == fingerprint(key.public_pem)


@pytest.mark.parametrize("setting", [f"awskms:{ARN}", f"gcpkms:{VERSION}"])
async def test_a_kms_that_refuses_is_told_and_nothing_is_signed(
    ims: Ims, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """The key may be looked at, but not used: as a role without kms:Sign, or cloudkms.cryptoKeyVersions.useToSign."""
    private = ec.generate_private_key(ec.SECP256R1())

    def denied(**_: Any) -> Any:
        raise RuntimeError("permission denied to sign")

    aws, google = aws_kms(private), GoogleKms(private)
    aws.sign = google.asymmetric_sign = denied  # type: ignore[method-assign]
    monkeypatch.setattr(boto3, "client", lambda *_, **__: aws)
    monkeypatch.setattr(kms, "KeyManagementServiceClient", lambda: google)
    builders = VendorKey.load_or_create(tmp_path / "builders.key")
    (tmp_path / "builders.pub").write_text(builders.public_pem)
    async with listening(ims) as url:
        release = await released(ims, url, builders)
        token = (await ims.ok("POST", "/v1/tokens", {"name": "ci", "role": "editor"}))["secret"]
        given = [release["id"], "--url", url, "--signing-key", setting, "--build-key", str(tmp_path / "builders.pub"), "--yes"]
        said = await asyncio.to_thread(CliRunner().invoke, sign_command, given, env={"EXCLAVE_TOKEN": token})
        assert said.exit_code == 1, said.output
        assert f"the signing key {setting.partition(':')[2]} can't be used: permission denied to sign" in said.output
        assert "identity may sign with it" in said.output
        assert (await ims.ok("GET", f"/v1/releases/{release['id']}"))["signed_by"] is None


async def test_a_bundle_takes_the_signature_of_its_release_along(ims: Ims, tmp_path: Path) -> None:
    key = VendorKey.load_or_create(tmp_path / "vendor.key")
    (tmp_path / "vendor.pub").write_text(key.public_pem)
    (tmp_path / "policy.yaml").write_text("version: 1\nreleases: signed\n")
    verify = ("--vendor-key", str(tmp_path / "vendor.pub"), "--policy", str(tmp_path / "policy.yaml"))
    async with listening(ims) as url:
        release = await released(ims, url, key)
        token = (await ims.ok("POST", "/v1/tokens", {"name": "ci", "role": "editor"}))["secret"]
        given = (release["id"], "--url", url, "--signing-key", str(tmp_path / "vendor.key"))
        code, said = await exclave("bundle", "create", *given, "--output", str(tmp_path / "1.tar"), EXCLAVE_TOKEN=token)
        assert code == 0, said
        assert "isn't signed as a whole" in said
        code, said = await exclave("releases", "sign", *given, "--yes", EXCLAVE_TOKEN=token)
        assert code == 0, said
        code, said = await exclave("bundle", "create", *given, "--output", str(tmp_path / "2.tar"), EXCLAVE_TOKEN=token)
        assert code == 0, said
        kept = await ims.ok("GET", f"/v1/releases/{release['id']}/signature")
    code, said = await exclave("bundle", "verify", str(tmp_path / "1.tar"), *verify)
    assert code == 1, said
    assert "the vendor hasn't signed it as a whole" in said
    code, said = await exclave("bundle", "verify", str(tmp_path / "2.tar"), *verify)
    assert code == 0, said
    assert f"Signed as a whole: {kept['document']}" in said
