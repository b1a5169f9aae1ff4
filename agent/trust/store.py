"""What an install agent trusts now: the keys that it pinned at enrolment, and what it has learnt since from those.

<home>/trust.json     keys that came after, and what was revoked; it only ever grows
<home>/release.json   the highest number of a signed release that was applied here
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.durable import write_durably
from agent.failure import CodedError
from agent.oci.signature import Signed, public_key_of
from agent.trust.notices import fingerprint, next_key, revoked
from api.contract.base import Digest, Model

M = TypeVar("M", bound=Model)


class ArtifactRevokedError(CodedError):
    """The vendor has revoked the artifact with their own key, and the IMS wants it all the same."""

    code = "artifact_revoked"
    remedy = "Deploy a release that doesn't have it."


class TrustFileError(CodedError):
    """The agent's own file can't be read: then it trusts nobody."""

    code = "trust_unreadable"
    remedy = "Find out who changed it; put it back from a backup, or enrol the agent anew."


class Learnt(Model):
    """What was learnt. `keys` are PEM texts, in the order in which they came."""

    keys: tuple[str, ...] = ()
    revoked: tuple[Digest, ...] = ()


class Applied(Model):
    """What was applied here under the customer's rule for releases. A file of its own: earlier agents read the other one."""

    highest: int = 0


@dataclass(frozen=True)
class TrustStore:
    """The trust of the agent whose folder is `home`. All methods block, and raise TrustFileError."""

    home: Path
    pinned: tuple[str, ...]

    def keys(self) -> tuple[str, ...]:
        """The public keys that are trusted now, oldest first."""
        learnt = self._learnt()
        return tuple(key for key in dict.fromkeys((*self.pinned, *learnt.keys)) if fingerprint(key) not in learnt.revoked)

    def check(self, component: str, artifacts: Iterable[Digest]) -> None:
        """Raises ArtifactRevokedError if one of them is revoked."""
        known = self._learnt().revoked
        for digest in artifacts:
            if digest in known:
                raise ArtifactRevokedError(f"the vendor has revoked the artifact {digest}, which {component} would use")

    def learn(self, signatures: Iterable[Signed]) -> Learnt:
        """Take in what good signatures say; gives what was new. A key that is no key of the right kind is passed over."""
        said = list(signatures)
        keys = tuple(key for each in said if (key := next_key(each.claims)) and _usable(key))
        return self.add(keys, {digest for each in said for digest in revoked(each.claims)})

    def add(self, keys: Iterable[str], digests: Iterable[Digest]) -> Learnt:
        """Trust more keys and revoke more digests; gives what was new."""
        with self._locked():
            before = self._learnt()
            new_keys = tuple(key for key in dict.fromkeys(keys) if key not in {*self.pinned, *before.keys})
            new_digests = tuple(sorted(set(digests) - set(before.revoked)))
            if new_keys or new_digests:
                after = Learnt(keys=(*before.keys, *new_keys), revoked=(*before.revoked, *new_digests))
                write_durably(self.home / "trust.json", after.model_dump_json(indent=2).encode())
        return Learnt(keys=new_keys, revoked=new_digests)

    def revoked(self) -> tuple[Digest, ...]:
        """What is revoked: artifacts and keys."""
        return self._learnt().revoked

    def highest_release(self) -> int:
        """The highest number of a signed release that was applied here; 0 before the first."""
        return self._read("release.json", Applied()).highest

    def release_begun(self, number: int) -> None:
        """Remember a number, if it is the highest."""
        with self._locked():
            if number > self.highest_release():
                write_durably(self.home / "release.json", Applied(highest=number).model_dump_json().encode())

    def _learnt(self) -> Learnt:
        return self._read("trust.json", Learnt())

    def _read(self, name: str, missing: M) -> M:
        file = self.home / name
        try:
            return type(missing).model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return missing
        except (OSError, ValueError) as error:
            raise TrustFileError(f"{file} can't be read: {error}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.home / "trust.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _usable(pem: str) -> bool:
    try:
        public_key_of(pem)
    except ValueError:
        return False
    return True
