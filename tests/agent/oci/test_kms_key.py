"""Signing keys in a KMS. The clouds are stand-ins written from their API references; behind both is a real P-256 key."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from artifacts import image
from cryptography.hazmat.primitives.asymmetric import ec
from kms_stand_ins import ARN, PREHASHED, VERSION, GoogleKms, aws_kms
from registry_server import RegistryServer

from agent.oci.kms_key import AwsKmsKey, GoogleKmsKey, open_key
from agent.oci.signature import sign, verify
from agent.oci.vendor_key import VendorKeyError

pytestmark = pytest.mark.anyio


@pytest.fixture
def private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("cloud", ["aws", "google"])
async def test_what_a_kms_signs_verifies_with_its_public_key(
    cloud: str, private: ec.EllipticCurvePrivateKey, vendor: RegistryServer
) -> None:
    key = AwsKmsKey(ARN, lambda _: aws_kms(private)) if cloud == "aws" else GoogleKmsKey(VERSION, lambda _: GoogleKms(private))
    digest = (await image(vendor.client(), "acme/app"))["digest"]
    assert await sign(vendor.client(), "acme/app", digest, key, "registry.test/acme/app")
    await verify(vendor.client(), "acme/app", digest, (key.public_pem,))
    private.public_key().verify(key.sign(b"x"), hashlib.sha256(b"x").digest(), PREHASHED)


def test_a_key_of_another_kind_is_refused() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(VendorKeyError, match="P-256") as refused:
        _ = AwsKmsKey(ARN, lambda _: aws_kms(p384)).public_pem
    assert refused.value.failure.remedy


def test_a_kms_that_says_no_is_told_in_its_words() -> None:
    class Denied:
        def get_public_key(self, **_: Any) -> Any:
            raise RuntimeError("AccessDenied: kms:GetPublicKey")

    with pytest.raises(VendorKeyError, match="kms:GetPublicKey"):
        _ = AwsKmsKey(ARN, lambda _: Denied()).public_pem


def test_the_option_says_which_key_it_is(tmp_path: Path) -> None:
    made = open_key(None, tmp_path)
    assert open_key(str(tmp_path / "vendor.key"), tmp_path / "elsewhere").public_pem == made.public_pem
    assert open_key(f"awskms:{ARN}", tmp_path) == AwsKmsKey(ARN)
    assert open_key(f"gcpkms:{VERSION}", tmp_path) == GoogleKmsKey(VERSION)
    with pytest.raises(VendorKeyError, match="no signing key"):
        open_key(str(tmp_path / "missing.pem"), tmp_path)
