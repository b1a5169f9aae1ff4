"""The keys that wrap the keys of sealed states: in a file of the agent's home, or in a KMS of the customer's cloud.

`file` is `<home>/state.keys`, mode 0600: a key in base64 on each line, of which the first seals and all open. `awskms:KEY`
(ARN, id or alias) and `gcpkms:projects/…/cryptoKeys/K` are symmetric keys that never leave their cloud.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.durable import write_durably
from agent.failure import CodedError

FILE = "file"
AWS = "awskms:"
GOOGLE = "gcpkms:"
KEY_BYTES = 32
_NONCE_BYTES = 12


class StateKeyError(CodedError):
    """The key that seals states can't be used, or isn't the one that sealed."""

    code = "state_key_unusable"
    retryable = True
    remedy = (
        "Check --state-key and that the agent's identity may encrypt and decrypt with it; restore state.keys from a backup."
    )


def aws_client(key: str) -> Any:
    """boto3's KMS client, in the region of the key's ARN if it has one. Raises StateKeyError without boto3."""
    try:
        import boto3
    except ImportError:
        raise StateKeyError("a key in AWS KMS needs boto3", remedy="Install it: pip install 'exclave[aws]'.") from None
    return boto3.client("kms", region_name=key.split(":")[3] if key.startswith("arn:") else None)


def google_client(key: str) -> Any:
    """Google's KMS client. Raises StateKeyError without it."""
    try:
        from google.cloud import kms
    except ImportError:
        raise StateKeyError(f"the key {key} needs google-cloud-kms", remedy="Install it: pip install 'exclave[gcp]'.") from None
    return kms.KeyManagementServiceClient()


@dataclass(frozen=True)
class Keyring:
    """Wraps keys with the current key, and opens what any key of the agent has wrapped. Blocks; raises StateKeyError.

    `chosen` is `file`, `awskms:…` or `gcpkms:…`. The file is read anew each time, so a rotation counts at once.
    """

    home: Path
    chosen: str = FILE
    aws: Callable[[str], Any] = field(default=aws_client, repr=False)
    google: Callable[[str], Any] = field(default=google_client, repr=False)
    _making: Lock = field(default_factory=Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.chosen != FILE and not self.chosen.startswith((AWS, GOOGLE)):
            raise StateKeyError(
                f"--state-key {self.chosen!r} isn't understood",
                remedy="Write file, awskms:KEY or gcpkms:projects/…/cryptoKeys/K.",
            )

    @property
    def file(self) -> Path:
        """The file of keys."""
        return self.home / "state.keys"

    @property
    def current(self) -> str:
        """The name of the key that wraps from now on. A first key is made if there is none."""
        return self.chosen if self.chosen != FILE else _name(self._keys(make=True)[0])

    def wrap(self, key: bytes, context: str) -> tuple[str, bytes]:
        """The name of the current key, and `key` encrypted with it, which opens for the same context only."""
        name = self.current
        if name.startswith(AWS):
            full = name.removeprefix(AWS)
            given = {"Plaintext": key, "EncryptionContext": {"exclave": context}}
            return name, _asked(name, lambda: self.aws(full).encrypt(KeyId=full, **given)["CiphertextBlob"])
        if name.startswith(GOOGLE):
            full = name.removeprefix(GOOGLE)
            wanted = {"name": full, "plaintext": key, "additional_authenticated_data": context.encode()}
            return name, _asked(name, lambda: self.google(full).encrypt(request=wanted).ciphertext)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return name, nonce + AESGCM(self._keys()[0]).encrypt(nonce, key, context.encode())

    def unwrap(self, name: str, wrapped: bytes, context: str) -> bytes:
        """What `wrap` has encrypted with the key `name`."""
        if name.startswith(AWS):
            full = name.removeprefix(AWS)
            given = {"CiphertextBlob": wrapped, "EncryptionContext": {"exclave": context}}
            return _asked(name, lambda: self.aws(full).decrypt(KeyId=full, **given)["Plaintext"])
        if name.startswith(GOOGLE):
            full = name.removeprefix(GOOGLE)
            wanted = {"name": full, "ciphertext": wrapped, "additional_authenticated_data": context.encode()}
            return _asked(name, lambda: self.google(full).decrypt(request=wanted).plaintext)
        key = next((key for key in self._keys() if _name(key) == name), None)
        if key is None:
            raise StateKeyError(f"the state was sealed with the key {name}, which isn't in {self.file}")
        try:
            return AESGCM(key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context.encode())
        except InvalidTag:
            raise StateKeyError(f"the state isn't one that was sealed as that of {context}") from None

    def add(self) -> None:
        """Make a new key in the file, the one that wraps from now on."""
        self._write([secrets.token_bytes(KEY_BYTES), *(self._keys() if self.file.exists() else [])])

    def drop_old(self, *, used: set[str]) -> int:
        """Remove the file's keys that nothing is wrapped with, but never the current one; gives how many."""
        if not self.file.exists():
            return 0
        first, *others = self._keys()
        kept = [key for key in others if _name(key) in used]
        self._write([first, *kept])
        return len(others) - len(kept)

    def _keys(self, *, make: bool = False) -> list[bytes]:
        if make:
            with self._making:  # two jobs that begin together must not each make a first key
                if not self.file.exists():
                    self.add()
        try:
            keys = [base64.b64decode(line, validate=True) for line in self.file.read_text().split()]
        except OSError as error:
            raise StateKeyError(f"{self.file} can't be read: {error.strerror}") from None
        except ValueError:
            keys = []
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise StateKeyError(f"{self.file} doesn't hold keys of {KEY_BYTES} bytes in base64")
        return keys

    def _write(self, keys: list[bytes]) -> None:
        write_durably(self.file, b"".join(base64.b64encode(key) + b"\n" for key in keys))


def _name(key: bytes) -> str:
    return "file:" + hashlib.sha256(b"exclave state key\n" + key).hexdigest()[:16]


def _asked(name: str, ask: Callable[[], Any]) -> bytes:
    try:
        return bytes(ask())
    except StateKeyError:
        raise
    except Exception as error:  # both clouds' libraries have several families of errors, partly made at run time
        raise StateKeyError(f"the key {name} can't be used: {error}") from None
