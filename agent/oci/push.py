"""Push content that is here: bytes, or files on disk. What the registry has already isn't sent."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from agent.oci.digest import digest_of, verified
from agent.oci.store import Writable

_CHUNK_BYTES = 1024 * 1024


async def push_bytes(client: Writable, repository: str, data: bytes) -> bool:
    """Push a small blob; False if it was there."""
    digest = digest_of(data)
    client.will_push(repository)
    if await client.has_blob(repository, digest):
        return False

    async def chunks() -> AsyncGenerator[bytes, None]:
        if data:
            yield data

    await client.put_blob(repository, digest, len(data), chunks)
    return True


async def push_file(client: Writable, repository: str, path: Path, digest: str, size: int) -> bool:
    """Push a file as a blob; False if it was there. Raises DigestMismatchError if the file changed since it was hashed."""
    client.will_push(repository)
    if await client.has_blob(repository, digest):
        return False
    await client.put_blob(repository, digest, size, lambda: verified(_read(path), digest, size))
    return True


async def _read(path: Path) -> AsyncGenerator[bytes, None]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
