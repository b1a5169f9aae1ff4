"""Download a blob into a file, checked."""

import asyncio
from pathlib import Path

from agent.oci.client import RegistryClient

_WRITE_BYTES = 1024 * 1024


async def download_blob(client: RegistryClient, repository: str, digest: str, size: int, path: Path) -> None:
    """Write the blob to `path`, which exists afterwards only if the content is that of `digest`.

    Raises NotFoundError, DigestMismatchError, RegistryUnavailableError.
    """

    async def attempt() -> None:
        try:
            with path.open("wb") as file:
                buffer = bytearray()
                async with client.open_blob(repository, digest, size) as chunks:
                    async for chunk in chunks:
                        buffer += chunk
                        if len(buffer) >= _WRITE_BYTES:
                            await asyncio.to_thread(file.write, buffer)
                            buffer = bytearray()
                file.write(buffer)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    await client.retrying(attempt)
