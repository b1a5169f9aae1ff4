"""Encrypts what must not rest in the clear: envelope encryption, with keys that the database has only wrapped.

A sealed value is `exclave1`, the id of its data key (30 characters), a nonce of 12 bytes, and AES-256-GCM's ciphertext and tag.
What is authenticated with it: all before the nonce, and the owner. Values sealed before there were data keys are a nonce and a
ciphertext alone; they open with the key that `Keys.old` keeps.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.contract.base import Json
from api.settings import UnusableDataError

MAGIC = b"exclave1"
ID_BYTES = 30
_NONCE_BYTES = 12


@dataclass(frozen=True)
class Keys:
    """Data keys in the clear, by id; only ever in memory. `mac` makes fingerprints, and doesn't change by rotation."""

    current: str
    data: dict[str, bytes]
    mac: bytes
    old: bytes | None = None


class Vault:
    """The keys of one IMS, unwrapped once. `load` gives them anew: another replica may have made one meanwhile."""

    def __init__(self, keys: Keys, load: Callable[[], Keys] | None = None) -> None:
        self._keys = keys
        self._load = load

    @property
    def current(self) -> str:
        """The id of the data key with which values are sealed now."""
        return self._keys.current

    def refresh(self) -> None:
        """Read the keys anew, as they are committed."""
        if self._load:
            self._keys = self._load()

    def seal(self, values: dict[str, Json], *, owner: str) -> bytes:
        """Encrypt values so that they open only for the same owner (an object's id)."""
        keys = self._keys
        head = MAGIC + keys.current.encode()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(keys.data[keys.current]).encrypt(nonce, json.dumps(values).encode(), head + owner.encode())
        return head + nonce + sealed

    def open_sealed(self, sealed: bytes, *, owner: str) -> dict[str, Json]:
        """Decrypt. Raises UnusableDataError if the key isn't here, or the bytes or the owner are wrong."""
        head, context = b"", owner.encode()
        key = self._keys.old
        if key_id := data_key_of(sealed):
            key = self._data_key(key_id)
            head = MAGIC + key_id.encode()
            context = head + context
        if key is None:
            raise UnusableDataError(
                f"the values of {owner} are sealed with a key that isn't here ({key_id or 'of an earlier version'}); "
                "restore the database and its secrets key from the same backup"
            )
        nonce, content = sealed[len(head) : len(head) + _NONCE_BYTES], sealed[len(head) + _NONCE_BYTES :]
        try:
            values: dict[str, Json] = json.loads(AESGCM(key).decrypt(nonce, content, context))
        except InvalidTag:
            raise UnusableDataError(f"the sealed values of {owner} were changed; restore the database from a backup") from None
        return values

    def reseal(self, sealed: bytes, *, owner: str) -> bytes | None:
        """The same values under the current data key, or None if they are already, or were wiped out."""
        if not sealed or data_key_of(sealed) == self._keys.current:
            return None
        return self.seal(self.open_sealed(sealed, owner=owner), owner=owner)

    def fingerprint(self, value: Json) -> str:
        """A keyed hash: equal values give equal fingerprints, and only this IMS can compute them."""
        return hmac.new(self._keys.mac, json.dumps(value, sort_keys=True).encode(), hashlib.sha256).hexdigest()[:32]

    def _data_key(self, key_id: str) -> bytes | None:
        if key_id not in self._keys.data:
            self.refresh()
        return self._keys.data.get(key_id)


def data_key_of(sealed: bytes) -> str | None:
    """The id of the data key with which a value is sealed; None for one from before there were data keys."""
    if not sealed.startswith(MAGIC):
        return None
    return sealed[len(MAGIC) : len(MAGIC) + ID_BYTES].decode("ascii", errors="replace")
