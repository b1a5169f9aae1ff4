"""Encrypts what must not rest in the clear, with a key that isn't in the database."""

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.contract.base import Json
from api.settings import UnusableDataError

_REMEDY = "restore it from a backup: without it, the sensitive values in the database can't be read"


class Vault:
    """AES-256-GCM with the key from a file of mode 0600, made at first start."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._mac_key = hashlib.sha256(b"exclave fingerprint\n" + key).digest()

    @classmethod
    def open(cls, path: Path, *, make: bool = True) -> "Vault":
        """Read the key, or `make` it. Raises UnusableDataError if the file doesn't hold a key, or isn't there and must be."""
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            if not make:
                raise UnusableDataError(f"{path} is gone; {_REMEDY}") from None
            key = secrets.token_bytes(32)
            aside = path.with_suffix(".new")
            handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)  # whole or not at all: a first start that is killed must not leave half a key
        if len(key) != 32:
            raise UnusableDataError(f"{path} doesn't hold a key of 32 bytes; {_REMEDY}")
        return cls(key)

    def seal(self, values: dict[str, Json], *, owner: str) -> bytes:
        """Encrypt values so that they open only for the same owner (an object's id)."""
        nonce = secrets.token_bytes(12)
        return nonce + self._aead.encrypt(nonce, json.dumps(values).encode(), owner.encode())

    def open_sealed(self, sealed: bytes, *, owner: str) -> dict[str, Json]:
        """Decrypt. Raises cryptography's InvalidTag if the bytes, the key or the owner are wrong."""
        values: dict[str, Json] = json.loads(self._aead.decrypt(sealed[:12], sealed[12:], owner.encode()))
        return values

    def fingerprint(self, value: Json) -> str:
        """A keyed hash: equal values give equal fingerprints, and only this IMS can compute them."""
        return hmac.new(self._mac_key, json.dumps(value, sort_keys=True).encode(), hashlib.sha256).hexdigest()[:32]
