"""The key outside the database: what wraps the data keys, and where it is.

`secrets_key = "file:/path"` is a file of mode 0600; `"awskms:<key>"` and `"gcpkms:projects/…"` are keys that never leave their
cloud. A provider is asked when an IMS starts and when keys change, never for a request.
"""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.settings import UnusableDataError

KEY_BYTES = 32
_NONCE_BYTES = 12
_REMEDY = "restore it from a backup: without it, the sensitive values in the database can't be read"


class KeyProvider(Protocol):
    """Wraps data keys. `context` is authenticated with the key: a wrapped key opens for no other context."""

    @property
    def id(self) -> str:
        """Which key this is; stored beside what it wraps. Never a secret."""
        ...

    def wrap(self, key: bytes, context: str) -> bytes:
        """Encrypt a data key. Raises UnusableDataError if the provider can't be used."""
        ...

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        """Decrypt a data key. Raises UnusableDataError if the provider can't be used, or has another key."""
        ...


class FileKey:
    """A key of 32 bytes in a file of mode 0600.

    `old_key` is the file's content, with which an IMS before envelope encryption sealed its values directly. Data keys are
    wrapped with a key derived from it, so that the same bytes never serve both.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self.old_key = key
        self.id = "file:" + hashlib.sha256(b"exclave key id\n" + key).hexdigest()[:16]
        self._aead = AESGCM(HKDF(SHA256(), KEY_BYTES, salt=None, info=b"exclave wrap data keys").derive(key))

    @classmethod
    def open(cls, path: Path, *, make: bool) -> "FileKey":
        """Read the key, or `make` it. Raises UnusableDataError if the file doesn't hold a key, or isn't there and must be."""
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            if not make:
                raise UnusableDataError(f"{path} is gone; {_REMEDY}") from None
            key = secrets.token_bytes(KEY_BYTES)
            try:
                _write_private(path, key)
            except OSError as error:
                raise UnusableDataError(f"can't write {path}: {error.strerror}; give another file") from None
        except OSError as error:
            raise UnusableDataError(f"can't read {path}: {error.strerror}; let this user read it") from None
        if len(key) != KEY_BYTES:
            raise UnusableDataError(f"{path} doesn't hold a key of {KEY_BYTES} bytes; {_REMEDY}")
        return cls(path, key)

    def wrap(self, key: bytes, context: str) -> bytes:
        """See `KeyProvider`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, key, context.encode())

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        """See `KeyProvider`."""
        try:
            return self._aead.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context.encode())
        except InvalidTag:
            raise UnusableDataError(f"{self.path} isn't the key that wraps {context}; {_REMEDY}") from None


def _write_private(path: Path, key: bytes) -> None:
    aside = path.with_name(path.name + ".new")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)  # whole or not at all: a first start that is killed must not leave half a key


def open_provider(setting: str, *, make: bool) -> KeyProvider:
    """The provider that a setting names; a key file that isn't there is made if `make` says so. Raises UnusableDataError."""
    scheme, _, name = setting.partition(":")
    match scheme:
        case "file" if name:
            return FileKey.open(Path(name).expanduser(), make=make)
        case "awskms" if name:
            from api.secrets.aws_kms import AwsKmsKey

            return AwsKmsKey.open(name)
        case "gcpkms" if name:
            from api.secrets.google_kms import GoogleKmsKey

            return GoogleKmsKey.open(name)
    raise UnusableDataError(
        f"the secrets key {setting!r} isn't understood; write file:/path, awskms:KEY_ARN "
        "or gcpkms:projects/P/locations/L/keyRings/R/cryptoKeys/K"
    )
