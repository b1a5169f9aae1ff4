"""The vendor's signing key in a KMS: it never leaves there, and each signature is a line in the cloud's audit log.

An asymmetric key for signing, ECDSA P-256 with SHA-256: `ECC_NIST_P256` in AWS, `EC_SIGN_P256_SHA256` in Google Cloud.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.oci.vendor_key import VendorKey, VendorKeyError

AWS = "awskms:"
GOOGLE = "gcpkms:"


def open_key(text: str | None, folder: Path) -> VendorKey:
    """The key that `--signing-key` names: `awskms:ARN-or-alias`, `gcpkms:projects/…/cryptoKeyVersions/N`, or a file.

    None is the file `vendor.key` in `folder`, made there if need be. Blocks. Raises VendorKeyError.
    """
    if text is None:
        return VendorKey.load_or_create(folder / "vendor.key")
    if text.startswith(AWS):
        return AwsKmsKey(text.removeprefix(AWS))
    if text.startswith(GOOGLE):
        return GoogleKmsKey(text.removeprefix(GOOGLE))
    if not Path(text).exists():
        raise VendorKeyError(f"there is no signing key {text}", remedy="Name a file that is there.")
    return VendorKey.load_or_create(Path(text))


def aws_client(key: str) -> Any:
    """boto3's KMS client, in the region of the key's ARN if it has one."""
    try:
        import boto3
    except ImportError:
        raise VendorKeyError("a signing key in AWS KMS needs boto3", remedy="Install it: pip install 'exclave[aws]'.") from None
    return boto3.client("kms", region_name=key.split(":")[3] if key.startswith("arn:") else None)


def google_client(key: str) -> Any:
    """Google's KMS client."""
    try:
        from google.cloud import kms
    except ImportError:
        raise VendorKeyError(
            "a signing key in Google KMS needs google-cloud-kms", remedy="Install it: pip install 'exclave[gcp]'."
        ) from None
    return kms.KeyManagementServiceClient()


@dataclass(frozen=True)
class AwsKmsKey(VendorKey):
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html. Needs kms:GetPublicKey and kms:Sign."""

    key: str
    client: Callable[[str], Any] = field(default=aws_client, repr=False)

    @cached_property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """See `VendorKey`. Blocks the first time."""
        answer = _asked(self.key, lambda: self._kms.get_public_key(KeyId=self.key))
        return _p256(self.key, serialization.load_der_public_key(answer["PublicKey"]))

    def sign(self, payload: bytes) -> bytes:
        """See `VendorKey`. Raises VendorKeyError."""
        wanted = {"MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
        digest = hashlib.sha256(payload).digest()
        signature: bytes = _asked(self.key, lambda: self._kms.sign(KeyId=self.key, Message=digest, **wanted))["Signature"]
        return signature

    @cached_property
    def _kms(self) -> Any:
        return _asked(self.key, lambda: self.client(self.key))


@dataclass(frozen=True)
class GoogleKmsKey(VendorKey):
    """https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1. Needs roles/cloudkms.signerVerifier."""

    key: str
    client: Callable[[str], Any] = field(default=google_client, repr=False)

    @cached_property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """See `VendorKey`. Blocks the first time."""
        answer = _asked(self.key, lambda: self._kms.get_public_key(request={"name": self.key}))
        return _p256(self.key, serialization.load_pem_public_key(answer.pem.encode()))

    def sign(self, payload: bytes) -> bytes:
        """See `VendorKey`. Raises VendorKeyError."""
        request = {"name": self.key, "digest": {"sha256": hashlib.sha256(payload).digest()}}
        signature: bytes = _asked(self.key, lambda: self._kms.asymmetric_sign(request=request)).signature
        return signature

    @cached_property
    def _kms(self) -> Any:
        return _asked(self.key, lambda: self.client(self.key))


def _asked(key: str, ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except VendorKeyError:
        raise
    except Exception as error:  # both clouds' libraries have several families of errors, partly made at run time
        raise VendorKeyError(
            f"the signing key {key} can't be used: {str(error).rstrip('.')}",
            remedy="Check that the key is enabled and that this agent's identity may sign with it.",
        ) from None


def _p256(key: str, public: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise VendorKeyError(f"the signing key {key} isn't an ECDSA P-256 key", remedy="Make a key of that kind for signing.")
    return public
