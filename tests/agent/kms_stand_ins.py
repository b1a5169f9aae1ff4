"""The KMS of AWS and of Google, as stand-ins written from their API references; behind both is a real P-256 key."""

from types import SimpleNamespace
from typing import Any

from botocore.session import get_session
from botocore.stub import ANY, Stubber
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

ARN = "arn:aws:kms:eu-west-1:123456789012:alias/vendor"
VERSION = "projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))


def der(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def aws_kms(private: ec.EllipticCurvePrivateKey) -> Any:
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


class GoogleKms:
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
