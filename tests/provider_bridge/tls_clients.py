"""Certificates of the clients that Terraform's own stands for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Client:
    """A client's certificate and its key, as PEM."""

    pem: bytes
    key_pem: bytes


def client(curve: ec.EllipticCurve) -> Client:
    """One as go-plugin makes it, but for its curve, which is P-521 there, and which grpcio refuses."""
    key = ec.generate_private_key(curve)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, curve.name)])
    usages = [x509.ExtendedKeyUsageOID.CLIENT_AUTH, x509.ExtendedKeyUsageOID.SERVER_AUTH]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(minutes=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .sign(key, hashes.SHA512())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Client(made.public_bytes(serialization.Encoding.PEM), key.private_bytes(serialization.Encoding.PEM, *form))
