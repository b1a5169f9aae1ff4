"""The vendor's signing key: ECDSA P-256, in a file here or in a KMS (`agent.oci.kms_key`)."""

import os
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.failure import CodedError


class VendorKeyError(CodedError):
    """The key file can't be used."""

    code = "vendor_key_unusable"
    remedy = "Put an unencrypted ECDSA P-256 private key (PEM) there, or remove the file to have a new key made."


class VendorKey(ABC):
    """Signs artifacts for the vendor. The build agent holds it, or may use it; the IMS never does."""

    @classmethod
    def load_or_create(cls, path: Path) -> "FileKey":
        """The key at `path`, made there (mode 0600) if there is none. Two agents that start at once get the same key.

        Raises VendorKeyError.
        """
        if not path.exists():
            _create(path)
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise VendorKeyError(f"the signing key {path} can't be read: {error}") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise VendorKeyError(f"the signing key {path} isn't an ECDSA P-256 key")
        return FileKey(private)

    @property
    @abstractmethod
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""

    @abstractmethod
    def sign(self, payload: bytes) -> bytes:
        """An ASN.1 signature over SHA-256 of `payload`. May block: a KMS is asked. Raises VendorKeyError."""

    @property
    def public_pem(self) -> str:
        """The public half as PEM: what install agents pin, and what `cosign verify --key` takes."""
        return self.public_key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()


@dataclass(frozen=True)
class FileKey(VendorKey):
    """A key in a file that only its owner can read."""

    _private: ec.EllipticCurvePrivateKey = field(repr=False)

    @cached_property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """See `VendorKey`."""
        return self._private.public_key()

    def sign(self, payload: bytes) -> bytes:
        """See `VendorKey`."""
        return self._private.sign(payload, ec.ECDSA(hashes.SHA256()))


def _create(path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A link to a finished file: whoever loses the race finds a whole key, never half of one. mkstemp makes it 0600.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        Path(temporary).unlink()
