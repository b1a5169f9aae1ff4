"""Who an agent is: a key that it made itself, and what the IMS told it when it enrolled."""

import base64
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from agent.bundle.platform import current_platform
from agent.durable import flush_folder, write_durably
from api.client import ImsClient
from api.contract.enrollment import (
    EnrollRequest,
    EnrollResponse,
    RotateKeyRequest,
    SignInRequest,
    rotate_key_message,
    sign_in_message,
)
from api.contract.sealed_box import public_text

VERSION = version("exclave")


class HomeInUseError(Exception):
    """Another agent runs on the same folder."""


class IdentityError(Exception):
    """The folder's key or identity can't be used. The text says what to do."""


@dataclass(frozen=True)
class Identity:
    """An enrolled agent."""

    key: Ed25519PrivateKey
    enrolled: EnrollResponse
    sealing_key: X25519PrivateKey
    """Secrets on their way to this agent are sealed to it."""

    def sign_in(self, timestamp: int, nonce: str) -> SignInRequest:
        """Proof that this agent holds its key, at `timestamp` (Unix seconds)."""
        sealing_key = public_text(self.sealing_key)
        signature = self.key.sign(sign_in_message(self.enrolled.agent_id, timestamp, nonce, sealing_key))
        return SignInRequest(
            agent_id=self.enrolled.agent_id,
            timestamp=timestamp,
            nonce=nonce,
            signature=base64.b64encode(signature).decode(),
            version=VERSION,
            sealing_key=sealing_key,
        )

    def rotation(self, new: Ed25519PrivateKey, timestamp: int, nonce: str) -> RotateKeyRequest:
        """The wish to have `new` as this agent's key."""
        public = public_half(new)
        message = rotate_key_message(self.enrolled.agent_id, public, timestamp, nonce)
        return RotateKeyRequest(
            public_key=public,
            timestamp=timestamp,
            nonce=nonce,
            old_signature=base64.b64encode(self.key.sign(message)).decode(),
            new_signature=base64.b64encode(new.sign(message)).decode(),
        )


def public_half(key: Ed25519PrivateKey) -> str:
    """A key's public half as the protocol writes it: raw bytes in base64."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


class Home:
    """An agent's folder, mode 0700, and where things are in it. Without `make` it is taken as it is."""

    def __init__(self, folder: Path, *, make: bool = True) -> None:
        self.folder = folder.absolute()
        if make:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Keep other agents out of the folder. Raises HomeInUseError or IdentityError.

        The lock ends with the process, however it ends.
        """
        try:
            descriptor = os.open(self.folder / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise IdentityError(f"{self.folder} can't be used: {error.strerror}; run this as the agent's user") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeInUseError(f"another agent runs on {self.folder}; give each agent a folder of its own") from None
        else:
            yield
        finally:
            os.close(descriptor)

    def identity(self) -> Identity | None:
        """The identity in this folder, or None before enrolment. Raises IdentityError."""
        file = self.folder / "identity.json"
        try:
            if not file.exists():
                return None
            return Identity(self._key(), EnrollResponse.model_validate_json(file.read_bytes()), self._sealing_key())
        except PermissionError as error:
            raise IdentityError(f"{error.filename} can't be read: {error.strerror}. Run this as the agent's user") from None
        except (OSError, ValueError) as error:
            raise IdentityError(
                f"the identity in {self.folder} can't be read ({error}); remove the folder and enrol the agent anew"
            ) from None

    async def enroll(self, ims: ImsClient, token: str, name: str, vendor_key: str | None) -> Identity:
        """Enrol with a one-time token. After a crash in the middle, the same token and folder give the same identity.

        `vendor_key` is the public key (PEM) with which a build agent signs. Raises ApiError, UnreachableError or IdentityError.
        """
        key = self._key()
        sealing_key = self._sealing_key()
        platform = current_platform()
        request = EnrollRequest(
            token=token,
            public_key=public_half(key),
            name=name,
            version=VERSION,
            platform=f"{platform.os}/{platform.architecture}",
            sealing_key=public_text(sealing_key),
            vendor_key=vendor_key,
        )
        enrolled = await ims.call("POST", "/v1/agent/enroll", body=request, answer=EnrollResponse)
        write_durably(self.folder / "identity.json", enrolled.model_dump_json(indent=2).encode())
        return Identity(key, enrolled, sealing_key)

    def _key(self) -> Ed25519PrivateKey:
        """The agent's own key, made on first use. It never leaves the folder."""
        return _ed25519(self._key_file, _load_or_make(self._key_file, Ed25519PrivateKey.generate))

    def _sealing_key(self) -> X25519PrivateKey:
        """The key that opens what is sealed to this agent; as `_key`. A new one is told with the next sign-in."""
        file = self.folder / "sealing.key"
        key = _load_or_make(file, X25519PrivateKey.generate)
        if not isinstance(key, X25519PrivateKey):
            raise IdentityError(f"{file} is not an X25519 key; remove it, and start the agent again")
        return key

    def forget(self) -> None:
        """Remove who the agent was: its keys and its identity. What it has deployed, and its states' keys, stay."""
        for name in ("identity.json", "agent.key", "agent.key.next", "sealing.key"):
            (self.folder / name).unlink(missing_ok=True)
        flush_folder(self.folder)

    # Changing the key: the next one lies beside the current one until the IMS has it, so that a kill at any point leaves the
    # key that the IMS knows among the two.

    def next_key(self) -> Ed25519PrivateKey | None:
        """The key of a rotation that didn't come to its end."""
        return _ed25519(self._next_file, _load(self._next_file)) if self._next_file.exists() else None

    def make_next_key(self) -> Ed25519PrivateKey:
        """A new key, on the disk before anybody hears of it."""
        made = Ed25519PrivateKey.generate()
        _store(self._next_file, made)
        return made

    def take_next_key(self) -> None:
        """The IMS has the next key: it is the agent's now."""
        self._next_file.replace(self._key_file)
        flush_folder(self.folder)

    def drop_next_key(self) -> None:
        """The IMS never got the next key."""
        self._next_file.unlink(missing_ok=True)

    def key_age(self, now: float) -> float:
        """How old the key is, in seconds."""
        return now - self._key_file.stat().st_mtime

    @property
    def _key_file(self) -> Path:
        return self.folder / "agent.key"

    @property
    def _next_file(self) -> Path:
        return self.folder / "agent.key.next"


def _load(file: Path) -> object:
    return load_pem_private_key(file.read_bytes(), password=None)


def _store(file: Path, key: Ed25519PrivateKey | X25519PrivateKey) -> None:
    write_durably(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _load_or_make(file: Path, make: Callable[[], Ed25519PrivateKey | X25519PrivateKey]) -> object:
    if not file.exists():
        _store(file, make())
    return _load(file)


def _ed25519(file: Path, key: object) -> Ed25519PrivateKey:
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(f"{file} is not an Ed25519 key; remove it and enrol the agent anew")
    return key
