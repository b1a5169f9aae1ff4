"""Signing keys in a KMS. The clouds are stand-ins written from their API references; behind both is a real P-256 key."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from artifacts import image
from botocore.session import get_session
from botocore.stub import ANY, Stubber
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from registry_server import RegistryServer

from agent.oci.kms_key import AwsKmsKey, GoogleKmsKey, open_key
from agent.oci.signature import sign, verify
from agent.oci.vendor_key import VendorKeyError

pytestmark = pytest.mark.anyio

ARN = "arn:aws:kms:eu-west-1:123456789012:alias/vendor"
VERSION = "projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))


@pytest.fixture
def private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def der(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def aws(private: ec.EllipticCurvePrivateKey) -> Any:
    """boto3's client, whose network is replaced by a KMS of one key."""
    session = get_session()
    session.set_credentials("AKIA", "secret")
    client = session.create_client("kms", region_name="eu-west-1")
    original = client.sign

    def signed(**wanted: Any) -> Any:
        with Stubber(client) as stubber:
            expected = {"KeyId": ARN, "Message": ANY, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
            stubber.add_response("sign", {"Signature": private.sign(wanted["Message"], PREHASHED)}, expected)
            return original(**wanted)

    def public(**wanted: Any) -> Any:
        assert wanted == {"KeyId": ARN}
        return {"PublicKey": der(private)}

    client.sign, client.get_public_key = signed, public
    return client


class Google:
    """`KeyManagementServiceClient`, of which two methods are used."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private

    def get_public_key(self, *, request: dict[str, Any]) -> Any:
        assert request == {"name": VERSION}
        pem = self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return SimpleNamespace(pem=pem.decode())

    def asymmetric_sign(self, *, request: dict[str, Any]) -> Any:
        assert request["name"] == VERSION
        return SimpleNamespace(signature=self._private.sign(request["digest"]["sha256"], PREHASHED))


@pytest.mark.parametrize("cloud", ["aws", "google"])
async def test_what_a_kms_signs_verifies_with_its_public_key(
    cloud: str, private: ec.EllipticCurvePrivateKey, vendor: RegistryServer
) -> None:
    key = AwsKmsKey(ARN, lambda _: aws(private)) if cloud == "aws" else GoogleKmsKey(VERSION, lambda _: Google(private))
    digest = (await image(vendor.client(), "acme/app"))["digest"]
    assert await sign(vendor.client(), "acme/app", digest, key, "registry.test/acme/app")
    await verify(vendor.client(), "acme/app", digest, (key.public_pem,))
    private.public_key().verify(key.sign(b"x"), hashlib.sha256(b"x").digest(), PREHASHED)


def test_a_key_of_another_kind_is_refused() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(VendorKeyError, match="P-256") as refused:
        _ = AwsKmsKey(ARN, lambda _: aws(p384)).public_pem
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
