"""Random secrets for tokens and tickets, and their hashes.

256 random bits need no slow hash: there is nothing to guess.
"""

import hashlib
import hmac
import secrets


def new_secret(prefix: str) -> str:
    """A fresh secret such as `excl_…`. The prefix lets secret scanners find it."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def hash_secret(secret: str) -> str:
    """What is stored instead of the secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, stored: str) -> bool:
    """Whether a secret is the one whose hash is stored, in constant time."""
    return hmac.compare_digest(hash_secret(secret), stored)
