"""What the vendor tells install agents about their trust: it stands in signatures, which travel with every sync.

The IMS can hold a notice back, but not make one up. A key is known by its fingerprint, the digest of its PEM; an artifact by
its own digest. Either is revoked by naming it.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.failure import CodedError
from agent.oci.vendor_key import VendorKey
from api.contract.base import Digest

NEXT_KEY = "dev.exclave.next-key"
REVOKED = "dev.exclave.revoked"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MOST = 500
"""Digests in one notice: 36 kB, of the 64 kB that a signed payload may have."""


class RevocationsWrongError(CodedError):
    """The file of `--revoked` can't be used."""

    code = "revocations_wrong"
    remedy = f"One `sha256:…` of 64 hex digits a line, at most {_MOST}; what comes after a # is left out."


@dataclass(frozen=True)
class Notices:
    """What a build agent says with each signature. `previous` is the key before the current one, which vouches for it."""

    previous: VendorKey | None = None
    revoked: tuple[Digest, ...] = ()

    def of_all(self) -> dict[str, str]:
        """What stands in every signature."""
        return {REVOKED: ",".join(self.revoked)} if self.revoked else {}

    def vouching(self, current: VendorKey) -> dict[str, str]:
        """What the previous key says besides: whoever trusts it can trust the current one as well."""
        return self.of_all() | {NEXT_KEY: current.public_pem}


NO_NOTICES = Notices()


def fingerprint(pem: str) -> Digest:
    """What a public key is known by."""
    return "sha256:" + hashlib.sha256(pem.encode()).hexdigest()


def is_digest(text: str) -> bool:
    """Whether it is a digest as notices write it."""
    return _DIGEST.fullmatch(text) is not None


def next_key(claims: Mapping[str, str]) -> str | None:
    """The key (PEM) for which a signature vouches."""
    return claims.get(NEXT_KEY)


def revoked(claims: Mapping[str, str]) -> set[Digest]:
    """The digests that a signature revokes."""
    return {digest for digest in claims.get(REVOKED, "").split(",") if _DIGEST.fullmatch(digest)}


def read_revocations(file: Path) -> tuple[Digest, ...]:
    """The digests in a file, sorted. Raises RevocationsWrongError."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RevocationsWrongError(f"--revoked {file} can't be read: {error}") from None
    found: set[Digest] = set()
    for number, line in enumerate(lines, 1):
        digest = line.partition("#")[0].strip()
        if digest and not _DIGEST.fullmatch(digest):
            raise RevocationsWrongError(f"--revoked {file}:{number}: {digest!r} is no digest")
        found |= {digest} if digest else set()
    if len(found) > _MOST:
        raise RevocationsWrongError(f"--revoked {file} has {len(found)} digests")
    return tuple(sorted(found))
