"""A sealed box: JSON that only the holder of one X25519 key can read, whatever proxy or log it passes.

The bytes are: 1 (the version), the sender's ephemeral public key (32), and AES-256-GCM's ciphertext and tag. The key and the
nonce (12) are HKDF-SHA256 of the shared secret, with both public keys as salt. `context` is authenticated with it: a box
opens in no other context. Each box has an ephemeral key of its own, so that no nonce is used twice.
"""

import base64
import json

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.contract.base import Json

_VERSION = b"\x01"
_KEY_BYTES = 32
_NONCE_BYTES = 12


class SealedBoxError(ValueError):
    """The box is for another key or another context, or was changed."""


def job_context(job_id: str, attempt: int, install_id: str) -> bytes:
    """The context of a job's secrets: one attempt of one job of one install."""
    return f"exclave job secrets\n{job_id}\n{attempt}\n{install_id}".encode()


def public_key(text: str) -> X25519PublicKey:
    """Read a public key: 32 raw bytes in base64. Raises ValueError."""
    return X25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def public_text(key: X25519PrivateKey) -> str:
    """The public half of a key, as it is sent."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def seal(to: X25519PublicKey, content: dict[str, Json], context: bytes) -> str:
    """A box in base64."""
    ephemeral = X25519PrivateKey.generate()
    sender = ephemeral.public_key().public_bytes_raw()
    key, nonce = _derive(ephemeral.exchange(to), sender, to.public_bytes_raw())
    sealed = AESGCM(key).encrypt(nonce, json.dumps(content).encode(), _VERSION + context)
    return base64.b64encode(_VERSION + sender + sealed).decode()


def open_box(key: X25519PrivateKey, box: str, context: bytes) -> dict[str, Json]:
    """What is in a box. Raises SealedBoxError."""
    try:
        data = base64.b64decode(box, validate=True)
        sender, sealed = data[1 : 1 + _KEY_BYTES], data[1 + _KEY_BYTES :]
        shared = key.exchange(X25519PublicKey.from_public_bytes(sender))
        opened, nonce = _derive(shared, sender, key.public_key().public_bytes_raw())
        content: dict[str, Json] = json.loads(AESGCM(opened).decrypt(nonce, sealed, data[:1] + context))
    except (InvalidTag, ValueError):
        raise SealedBoxError("the box is for another key or another job, or was changed on its way") from None
    if data[:1] != _VERSION:
        raise SealedBoxError(f"the box is of version {data[0]}; this Exclave reads version 1")
    return content


def _derive(shared: bytes, sender: bytes, receiver: bytes) -> tuple[bytes, bytes]:
    made = HKDF(SHA256(), _KEY_BYTES + _NONCE_BYTES, salt=sender + receiver, info=b"exclave sealed box 1").derive(shared)
    return made[:_KEY_BYTES], made[_KEY_BYTES:]
