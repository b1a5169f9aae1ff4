"""Digests: computing them, and checking a stream against one before its end is let through."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from agent.oci.errors import DigestMismatchError

_PREFIX = "sha256:"

SIGNATURE_SUFFIX = ".sig"
"""What cosign adds to the tag of a digest for its signatures."""


def digest_of(data: bytes) -> str:
    """The `sha256:…` digest of `data`."""
    return _PREFIX + hashlib.sha256(data).hexdigest()


def digest_of_file(path: Path) -> str:
    """The digest of a file. Blocks: call it in a thread."""
    with path.open("rb") as file:
        return _PREFIX + hashlib.file_digest(file, "sha256").hexdigest()


def hex_of(digest: str) -> str:
    """The hex digits of a digest."""
    return digest.removeprefix(_PREFIX)


def tag_of(digest: str, suffix: str = "") -> str:
    """The tag under which things about `digest` are kept: `sha256-<hex>` (referrers) or `sha256-<hex>.sig` (cosign)."""
    return digest.replace(":", "-") + suffix


def check_digest(data: bytes, digest: str, what: str) -> None:
    """Raise DigestMismatchError unless `data` has this digest."""
    if digest_of(data) != digest:
        raise DigestMismatchError(f"{what} isn't {digest}: its content is {digest_of(data)}")


async def verified(chunks: AsyncIterator[bytes], digest: str, size: int) -> AsyncGenerator[bytes, None]:
    """The same chunks, with size and digest checked *before* the last one is given on.

    So a consumer that forwards them, such as an upload, never completes with wrong bytes. Raises DigestMismatchError.
    """
    hasher = hashlib.sha256()
    held = b""
    count = 0
    async for chunk in chunks:
        hasher.update(chunk)
        count += len(chunk)
        if count > size:
            raise DigestMismatchError(f"blob {digest} is longer than the {size} bytes that its descriptor says")
        if held:
            yield held
        held = chunk
    if count != size:
        raise DigestMismatchError(f"blob {digest} has {count} bytes, and its descriptor says {size}")
    if _PREFIX + hasher.hexdigest() != digest:
        raise DigestMismatchError(f"blob {digest} isn't what its digest says: its content is {_PREFIX}{hasher.hexdigest()}")
    if held:
        yield held
