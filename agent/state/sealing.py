"""Seal a state: its own AES-256-GCM key, which a key of the keyring wraps, travels in front of it.

A sealed state is the line `exclave-state 1`, a line of JSON (`key`: the wrapping key's name, `wrapped`: the state's own key),
the nonce and the ciphertext. All lines and the context, which says whose state it is, are authenticated.
"""

import base64
import json
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.state.keys import KEY_BYTES, Keyring, StateKeyError

_FIRST_LINE = b"exclave-state 1\n"
_NONCE_BYTES = 12


@dataclass(frozen=True)
class _Parts:
    key: str
    wrapped: bytes
    head: bytes
    body: bytes


def seal(state: bytes, context: str, keyring: Keyring) -> bytes:
    """The state of `context`, sealed with the keyring's current key. Blocks; raises StateKeyError."""
    own = secrets.token_bytes(KEY_BYTES)
    name, wrapped = keyring.wrap(own, context)
    head = _head(name, wrapped)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return head + nonce + AESGCM(own).encrypt(nonce, state, head + context.encode())


def opened(sealed: bytes, context: str, keyring: Keyring) -> bytes:
    """The state. Blocks; raises StateKeyError, also if a byte was changed or the state is another context's."""
    parts = _parts(sealed)
    own = keyring.unwrap(parts.key, parts.wrapped, context)
    nonce, ciphertext = parts.body[:_NONCE_BYTES], parts.body[_NONCE_BYTES:]
    try:
        return AESGCM(own).decrypt(nonce, ciphertext, parts.head + context.encode())
    except InvalidTag:
        raise StateKeyError(f"the state of {context} was changed after it was sealed") from None


def key_of(sealed: bytes) -> str:
    """The name of the key that wraps. Raises StateKeyError."""
    return _parts(sealed).key


def _head(name: str, wrapped: bytes) -> bytes:
    return _FIRST_LINE + json.dumps({"key": name, "wrapped": base64.b64encode(wrapped).decode()}).encode() + b"\n"


def _parts(sealed: bytes) -> _Parts:
    first, _, rest = sealed.partition(b"\n")
    line, _, body = rest.partition(b"\n")
    try:
        if first + b"\n" != _FIRST_LINE:
            raise ValueError
        fields = json.loads(line)
        return _Parts(str(fields["key"]), base64.b64decode(fields["wrapped"]), first + b"\n" + line + b"\n", body)
    except (ValueError, KeyError, TypeError):
        raise StateKeyError("what is kept as the state isn't a sealed state") from None
