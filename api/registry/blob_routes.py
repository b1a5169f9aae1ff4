"""`/v2/<name>/blobs/<digest>`: reading, asking for, and deleting blobs (OCI distribution spec 1.1, end-2 and end-10)."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.registry import names
from api.registry.access import Access
from api.registry.errors import DeniedError, RangeInvalidError
from api.registry.guard import Guard
from api.registry.reach import may_read_blob
from api.registry.storage import RegistryStorage

BLOCK_BYTES = 1024 * 1024
"""So much is read from or written to the disk at once."""

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


def read_range(header: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last that a Range header asks for; None asks for all (RFC 9110, section 14.2).

    What isn't one well-formed range is passed over, as the RFC allows. Raises RangeInvalidError if no byte lies in the range.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or not (match[1] or match[2]):
        return None
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    else:
        start, end = max(size - int(match[2]), 0), size
    if start >= end:
        raise RangeInvalidError(f"the blob has {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return start, end


@dataclass(frozen=True)
class BlobRoutes:
    """The handlers for one blob."""

    storage: RegistryStorage
    guard: Guard

    async def head(self, request: Request) -> Response:
        """Its size, without its content."""
        access = self.guard.enter(request, "pull")
        digest = names.check_digest(request.path_params["digest"])
        size = await asyncio.to_thread(self._size, access, digest)
        return Response(headers={**_headers(digest), "Content-Length": str(size)})

    async def get(self, request: Request) -> Response:
        """Its content, or the range asked for."""
        access = self.guard.enter(request, "pull")
        digest = names.check_digest(request.path_params["digest"])
        range_header = request.headers.get("range", "")
        return await asyncio.to_thread(self._answer, access, digest, range_header)

    async def delete(self, request: Request) -> Response:
        """Take it from the repository."""
        access = self.guard.enter(request, "delete", writes=True)
        await asyncio.to_thread(self.storage.delete_blob, access.repository, request.path_params["digest"])
        return Response(status_code=202)

    def _check(self, access: Access, digest: str) -> None:
        if not may_read_blob(self.storage, access, digest):
            raise DeniedError(f"the token is bound to other artifacts than those with the blob {digest}")

    def _size(self, access: Access, digest: str) -> int:
        self._check(access, digest)
        self.storage.asked_for(access.repository, digest)
        return self.storage.blob_size(access.repository, digest)

    def _answer(self, access: Access, digest: str, range_header: str) -> Response:
        self._check(access, digest)
        size = self.storage.blob_size(access.repository, digest)
        selected = read_range(range_header, size)
        headers = _headers(digest)
        address = self.storage.blob_address(digest)
        if address is not None:  # the client asks there again, with its range
            return Response(status_code=307, headers={**headers, "Location": address, "Cache-Control": "no-store"})
        if selected is not None:
            headers["Content-Range"] = f"bytes {selected[0]}-{selected[1] - 1}/{size}"
        start, end = selected or (0, size)
        file = self.storage.open_blob(access.repository, digest, start, end)
        return _BlobResponse(file, end - start, status=206 if selected else 200, headers=headers)


def _headers(digest: str) -> dict[str, str]:
    return {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}


class _BlobResponse(StreamingResponse):
    """A part of an open file, which is closed whether or not the client stays to the end."""

    def __init__(self, file: BinaryIO, size: int, *, status: int, headers: dict[str, str]) -> None:
        super().__init__(_blocks(file, size), status, {**headers, "Content-Length": str(size)})
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


async def _blocks(file: BinaryIO, left: int) -> AsyncIterator[bytes]:
    while left:
        block = await asyncio.to_thread(file.read, min(BLOCK_BYTES, left))
        if not block:
            raise OSError("the blob's file became shorter while it was read")
        left -= len(block)
        yield block
