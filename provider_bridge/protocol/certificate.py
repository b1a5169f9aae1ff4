"""A self-signed P-256 certificate for the provider's own server, from the standard library alone.

It exists because importing `cryptography` costs 20 ms in a process that is started several times per Terraform command; this
takes 3. The key lives as long as the process and signs exactly one thing: its own certificate. Nothing here is constant-time,
so nothing here may be used for a key that outlives the process or signs what others choose.

Curve arithmetic: SEC 1, section 2.2, in Jacobian coordinates. Signature: FIPS 186-5. Certificate: RFC 5280. Key: RFC 5915.
"""

import base64
import hashlib
import os
import time

from provider_bridge.records import Record

# Domain parameters of P-256 (FIPS 186-5 / SP 800-186, section 3.2.1.3): field, order. The curve has a = -3.
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_POINTS = (
    (
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ),
    (
        0x447D739BEEDB5E67FB982FD588C6766EFC35FF7DC297EAC357C84FC9D789BD85,
        0x2D4825AB834131EEE12E9D953A4AAFF73D349B95A7FAE5000C7E33C972E25B32,
    ),
    (
        0xEF9519328A9C72FFDDC6068BB91DFC60EF7FBD2B1A0A11B713949C932A1D367F,
        0x611E9FC37DBB2C9BC1EE9807022C219C23183B0895CA1740196035A77376D8A8,
    ),
)
"""The generator, 2**128 times it, and their sum: both halves of a scalar are walked through at once, in half as many steps."""

# DER tags.
_BOOLEAN, _INTEGER, _BITS, _OCTETS, _OID, _UTF8, _TIME, _SEQUENCE, _SET = 1, 2, 3, 4, 6, 12, 24, 0x30, 0x31

_VALID_SECONDS = 30 * 86_400
"""Longer than any Terraform run."""


class ServerCertificate(Record):
    """A certificate for `localhost` and its key, each as PEM; `der` is the certificate as the handshake line carries it."""

    der: bytes
    pem: bytes
    key_pem: bytes


def create() -> ServerCertificate:
    """A new key and a certificate that signs itself, valid from a minute ago for 30 days."""
    key = _secret()
    x, y = multiply(key)
    public = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    body = _certificate_body(public)
    signature_algorithm = _der(_SEQUENCE, _oid("2a8648ce3d040302"))  # ecdsa-with-SHA256
    r, s = sign(key, body)
    certificate = _der(_SEQUENCE, body, signature_algorithm, _bits(_der(_SEQUENCE, _integer(r), _integer(s))))
    private = _der(
        _SEQUENCE,
        _integer(1),
        _der(_OCTETS, key.to_bytes(32, "big")),
        _der(0xA0, _oid("2a8648ce3d030107")),
        _der(0xA1, _bits(public)),
    )
    return ServerCertificate(certificate, _pem("CERTIFICATE", certificate), _pem("EC PRIVATE KEY", private))


def multiply(scalar: int) -> tuple[int, int]:
    """The affine coordinates of `scalar` times the generator, for 0 < scalar < the group's order."""
    x, y, z = 0, 1, 0
    high, low = divmod(scalar, 1 << 128)
    for place in range(127, -1, -1):
        x, y, z = _double(x, y, z)
        bits = (high >> place & 1) << 1 | low >> place & 1
        if bits:
            x, y, z = _add(x, y, z, *_POINTS[bits - 1])
    inverse = pow(z, -1, _P)
    return x * inverse**2 % _P, y * inverse**3 % _P


def sign(key: int, message: bytes) -> tuple[int, int]:
    """ECDSA over SHA-256 of `message`, with a fresh nonce from the system's random source."""
    hashed = int.from_bytes(hashlib.sha256(message).digest(), "big")
    while True:
        nonce = _secret()
        r = multiply(nonce)[0] % _N
        s = pow(nonce, -1, _N) * (hashed + r * key) % _N
        if r and s:
            return r, s


def _secret() -> int:
    """A number from 1 to the order less 1 (FIPS 186-5, A.2.1): from 64 bits more than the order has, so none is likelier."""
    return int.from_bytes(os.urandom(40), "big") % (_N - 1) + 1


def _double(x: int, y: int, z: int) -> tuple[int, int, int]:
    if not z:
        return 0, 1, 0
    delta = z * z % _P
    gamma = y * y % _P
    beta = x * gamma % _P
    alpha = 3 * (x - delta) * (x + delta) % _P
    x3 = (alpha * alpha - 8 * beta) % _P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % _P, ((y + z) ** 2 - gamma - delta) % _P


def _add(x1: int, y1: int, z1: int, x2: int, y2: int) -> tuple[int, int, int]:
    if not z1:
        return x2, y2, 1
    zz = z1 * z1 % _P
    h = (x2 * zz - x1) % _P
    r = (y2 * z1 * zz - y1) % _P
    if not h:
        return _double(x1, y1, z1) if not r else (0, 1, 0)
    hh = h * h % _P
    hhh = h * hh % _P
    v = x1 * hh % _P
    x3 = (r * r - hhh - 2 * v) % _P
    return x3, (r * (v - x3) - y1 * hhh) % _P, z1 * h % _P


def _certificate_body(public: bytes) -> bytes:
    name = _der(_SEQUENCE, _der(_SET, _der(_SEQUENCE, _oid("550403"), _der(_UTF8, b"localhost"))))
    key_info = _der(_SEQUENCE, _der(_SEQUENCE, _oid("2a8648ce3d0201"), _oid("2a8648ce3d030107")), _bits(public))
    now = time.time()
    extensions = (
        _extension("551d13", _der(_SEQUENCE, _der(_BOOLEAN, b"\xff")), critical=True),  # a CA: it signs itself
        _extension("551d0f", b"\x03\x02\x02\x84", critical=True),  # digitalSignature, keyCertSign
        _extension("551d25", _der(_SEQUENCE, _oid("2b06010505070301"))),  # serverAuth
        _extension("551d11", _der(_SEQUENCE, _der(0x82, b"localhost"))),  # the name that is verified
    )
    return _der(
        _SEQUENCE,
        _der(0xA0, _integer(2)),  # version 3
        _integer(int.from_bytes(os.urandom(15), "big")),
        _der(_SEQUENCE, _oid("2a8648ce3d040302")),
        name,
        _der(_SEQUENCE, _moment(now - 60), _moment(now + _VALID_SECONDS)),
        name,
        key_info,
        _der(0xA3, _der(_SEQUENCE, *extensions)),
    )


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return _der(_SEQUENCE, _oid(oid), _der(_BOOLEAN, b"\xff") if critical else b"", _der(_OCTETS, value))


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def _integer(value: int) -> bytes:
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _bits(content: bytes) -> bytes:
    return _der(_BITS, b"\x00", content)


def _oid(encoded: str) -> bytes:
    return _der(_OID, bytes.fromhex(encoded))


def _moment(seconds: float) -> bytes:
    return _der(_TIME, time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds)).encode())


def _pem(label: str, der: bytes) -> bytes:
    text = base64.b64encode(der).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()
