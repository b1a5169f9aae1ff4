"""Random secrets for tokens and tickets, and their hashes.

256 random bits need no slow hash: there is nothing to guess. A secret ends in a checksum, so that a secret scanner can tell one
from a text that only looks like it, and the IMS a mistyped one from one that was revoked.
"""

import hashlib
import hmac
import re
import secrets
import zlib

_SHAPE = re.compile(r"(exc[a-z]_[A-Za-z0-9_-]{43})([0-9a-f]{8})")


def new_secret(prefix: str) -> str:
    """A fresh secret: `excl_`, 43 random characters (base64url), 8 hex digits of the CRC-32 of all that."""
    body = f"{prefix}_{secrets.token_urlsafe(32)}"
    return body + _checksum(body)


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def is_whole(secret: str) -> bool:
    """Whether a text has a secret's shape, and its checksum fits."""
    shape = _SHAPE.fullmatch(secret)
    return shape is not None and _checksum(shape[1]) == shape[2]


def hash_secret(secret: str) -> str:
    """What is stored instead of the secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, stored: str) -> bool:
    """Whether a secret is the one whose hash is stored, in constant time."""
    return hmac.compare_digest(hash_secret(secret), stored)
