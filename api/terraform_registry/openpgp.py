"""Signs what Terraform installs: one OpenPGP key of version 4 (RFC 4880), in a PEM file of mode 0600 in the data folder.

Terraform trusts whatever key the registry lists for a provider, so the key is worth as much as the TLS of the registry: it
shows that checksums and package come from one place. Written by hand, because libraries for OpenPGP bring all of its ciphers.
"""

import base64
import hashlib
import textwrap
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from api.registry import durable
from api.settings import UnusableDataError

BITS = 3072
USER_ID = "Exclave IMS <provider@exclave.invalid>"

_MADE = 1735689600
"""A key's fingerprint covers the moment of its making, for which the file has no place: all are of 2025-01-01, UTC."""
_VERSION, _RSA, _SHA256 = 4, 1, 8
_SIGNATURE, _PUBLIC_KEY, _USER_ID = 2, 6, 13
_BINARY, _POSITIVE_CERTIFICATION = 0x00, 0x13
_CREATED, _ISSUER, _KEY_FLAGS, _ISSUER_FINGERPRINT = 2, 16, 27, 33
_MAY_CERTIFY_AND_SIGN = b"\x03"


class PackageKey:
    """The key of one IMS. Calls take milliseconds of CPU."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key
        numbers = key.public_key().public_numbers()
        self._body = bytes([_VERSION]) + _MADE.to_bytes(4, "big") + bytes([_RSA]) + _integer(numbers.n) + _integer(numbers.e)
        self._fingerprint = hashlib.sha1(self._hashed_key(), usedforsecurity=False).digest()
        self.key_id = self._fingerprint[-8:].hex().upper()

    @classmethod
    def open(cls, path: Path) -> "PackageKey":
        """The key in this file, which is made on first use (up to a second of CPU). Several that start at once get the same.

        Raises UnusableDataError if the file has something else in it.
        """
        if not path.exists():
            key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
            form = serialization.PrivateFormat.PKCS8
            durable.create_file(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        try:
            # Ours, so its numbers aren't tested again: a tenth of a second of CPU at each start.
            found = serialization.load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
        except (ValueError, TypeError):
            found = None
        if not isinstance(found, rsa.RSAPrivateKey):
            raise UnusableDataError(f"{path} must hold an RSA key, without a password; move it away to have a new one made")
        return cls(found)

    def sign(self, content: bytes, at: datetime) -> bytes:
        """A detached binary signature."""
        return _packet(_SIGNATURE, self._signature(_BINARY, content, int(at.timestamp())))

    @property
    def public(self) -> str:
        """The public key, with a name and the key's own signature on it, in ASCII armour."""
        name = USER_ID.encode()
        certified = self._hashed_key() + b"\xb4" + len(name).to_bytes(4, "big") + name
        flags = _subpacket(_KEY_FLAGS, _MAY_CERTIFY_AND_SIGN)
        return _armoured(
            _packet(_PUBLIC_KEY, self._body)
            + _packet(_USER_ID, name)
            + _packet(_SIGNATURE, self._signature(_POSITIVE_CERTIFICATION, certified, _MADE, flags))
        )

    def _hashed_key(self) -> bytes:
        return b"\x99" + len(self._body).to_bytes(2, "big") + self._body

    def _signature(self, kind: int, content: bytes, at: int, more: bytes = b"") -> bytes:
        """The body of a signature packet (RFC 4880, 5.2.3 and 5.2.4)."""
        said = _subpacket(_CREATED, at.to_bytes(4, "big")) + more
        said += _subpacket(_ISSUER_FINGERPRINT, bytes([_VERSION]) + self._fingerprint)
        head = bytes([_VERSION, kind, _RSA, _SHA256]) + len(said).to_bytes(2, "big") + said
        digest = hashlib.sha256(content + head + bytes([_VERSION, 0xFF]) + len(head).to_bytes(4, "big")).digest()
        signed = self._key.sign(digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
        unhashed = _subpacket(_ISSUER, self._fingerprint[-8:])
        return head + len(unhashed).to_bytes(2, "big") + unhashed + digest[:2] + _integer(int.from_bytes(signed, "big"))


def _integer(number: int) -> bytes:
    return number.bit_length().to_bytes(2, "big") + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _subpacket(kind: int, content: bytes) -> bytes:
    return bytes([len(content) + 1, kind]) + content


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def _armoured(content: bytes) -> str:
    body = "\n".join(textwrap.wrap(base64.b64encode(content).decode(), 64))
    check = base64.b64encode(_crc24(content)).decode()
    return f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{body}\n={check}\n-----END PGP PUBLIC KEY BLOCK-----\n"


def _crc24(content: bytes) -> bytes:
    value = 0xB704CE
    for byte in content:
        value ^= byte << 16
        for _ in range(8):
            value <<= 1
            if value & 0x1000000:
                value ^= 0x1864CFB
    return (value & 0xFFFFFF).to_bytes(3, "big")
