"""The key with which tokens are signed, and its self-signed certificate, in one PEM file of mode 0600."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.registry import durable
from api.settings import UnusableDataError

_VALIDITY = datetime.timedelta(days=3650)
_CLOCK_SKEW = datetime.timedelta(days=1)
_REMEDY = "must hold an ECDSA P-256 key and its certificate, without a password; move it away to have new ones made"


@dataclass(frozen=True)
class SigningKey:
    """An ECDSA P-256 key. An external registry trusts it by its certificate (`rootcertbundle` of docker-registry)."""

    private_key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def certificate_pem(self) -> bytes:
        """The public half, as an external registry wants it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def load_or_create_key(path: Path) -> SigningKey:
    """The key in this file, which is made on first use. Several processes that start at once get the same key.

    Raises UnusableDataError if the file has something else in it.
    """
    if not path.exists():
        durable.make_folder(path.parent)
        durable.create_file(path, _new_key())
    content = path.read_bytes()
    try:
        private_key = serialization.load_pem_private_key(content, password=None)
        certificate = x509.load_pem_x509_certificate(content)
    except (ValueError, TypeError) as error:
        raise UnusableDataError(f"{path} {_REMEDY}") from error
    if not isinstance(private_key, ec.EllipticCurvePrivateKey) or not isinstance(private_key.curve, ec.SECP256R1):
        raise UnusableDataError(f"{path} {_REMEDY}")
    return SigningKey(private_key, certificate)


def _new_key() -> bytes:
    private_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Exclave registry tokens")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private_key, hashes.SHA256())
    )
    pem = private_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem + certificate.public_bytes(serialization.Encoding.PEM)
