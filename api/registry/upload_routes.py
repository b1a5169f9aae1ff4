"""`/v2/<name>/blobs/uploads/`: blobs on their way in (OCI distribution spec 1.1, "Pushing blobs", end-4 to end-6, end-11)."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from api.registry import names
from api.registry.access import Grant
from api.registry.blob_routes import BLOCK_BYTES
from api.registry.errors import DigestInvalidError, QuotaExceededError, UploadInvalidError, UploadOutOfOrderError
from api.registry.guard import Guard
from api.registry.reach import may_read_blob
from api.registry.storage import RegistryStorage
from api.registry.uploads import Upload, Uploads

_CONTENT_RANGE = re.compile(r"(?:bytes )?([0-9]{1,19})-([0-9]{1,19})(?:/.*)?")


@dataclass(frozen=True)
class UploadRoutes:
    """The handlers for uploads: at once, in chunks, or by mounting a blob of another repository."""

    storage: RegistryStorage
    guard: Guard
    uploads: Uploads

    async def start(self, request: Request) -> Response:
        """Begin an upload; or end it at once, with `?mount=&from=` or with `?digest=` and the content."""
        repository = self.guard.enter(request, "push", writes=True).repository
        self.uploads.expire()
        query = request.query_params
        if "mount" in query:
            digest = names.check_digest(query["mount"])
            if await asyncio.to_thread(self._mount, self.guard.identify(request), repository, digest, query.get("from")):
                return _created(repository, digest)
            return _accepted(self.uploads.start(repository, names.algorithm_of(digest)))
        if "digest" not in query:
            return _accepted(self.uploads.start(repository, _read_algorithm(query.get("digest-algorithm"))))
        digest = names.check_digest(query["digest"])
        await self._check_room(request, repository)
        upload = self.uploads.start(repository, names.algorithm_of(digest))
        try:
            with self.uploads.writing(upload):
                await self._receive(request, upload)
                await asyncio.to_thread(self._store, upload, digest)
        finally:
            self.uploads.end(upload)
        return _created(repository, digest)

    async def status(self, request: Request) -> Response:
        """How far it is."""
        return Response(status_code=204, headers=_progress(self._find(request)))

    async def patch(self, request: Request) -> Response:
        """Add a chunk. If the client goes away meanwhile, what has come stays, and `status` says how much that is."""
        upload = self._find(request)
        with self.uploads.writing(upload):
            await self._add(request, upload)
        return _accepted(upload)

    async def put(self, request: Request) -> Response:
        """Add the last chunk, which may be empty, and make a blob of it. Content with another digest ends the upload."""
        upload = self._find(request)
        digest = names.check_digest(request.query_params.get("digest", ""))
        with self.uploads.writing(upload):
            await self._add(request, upload)
            try:
                await asyncio.to_thread(self._store, upload, digest)
            finally:
                self.uploads.end(upload)
        return _created(upload.repository, digest)

    async def cancel(self, request: Request) -> Response:
        """Give it up."""
        upload = self._find(request)
        with self.uploads.writing(upload):
            self.uploads.end(upload)
        return Response(status_code=204)

    def _find(self, request: Request) -> Upload:
        repository = self.guard.enter(request, "push", writes=request.method != "GET").repository
        return self.uploads.find(repository, request.path_params["upload_id"])

    def _mount(self, grant: Grant, repository: str, digest: str, origin: str | None) -> bool:
        """Whether the blob could be had from `origin`; from anywhere, if None.

        The caller must be allowed to pull it from there: that it is in a repository of others isn't even said.
        """
        for access in grant.access:
            if "pull" in access.actions and origin in (None, access.repository):
                found = may_read_blob(self.storage, access, digest)
                if found and self.storage.mount_blob(repository, digest, access.repository):
                    return True
        return False

    async def _add(self, request: Request, upload: Upload) -> None:
        declared = request.headers.get("content-range")
        if declared is not None:
            match = _CONTENT_RANGE.fullmatch(declared)
            if match is None:
                raise UploadInvalidError("Content-Range must be <first byte>-<last byte>")
            if int(match[1]) != upload.size:
                message = f"the next chunk must begin at byte {upload.size}"
                raise UploadOutOfOrderError(message, headers=_progress(upload))
            length = request.headers.get("content-length", "")
            if length.isdigit() and int(length) != int(match[2]) - int(match[1]) + 1:
                raise UploadInvalidError(f"Content-Range {declared} isn't of the {length} bytes that Content-Length announces")
        try:
            await self._check_room(request, upload.repository, upload)
            await self._receive(request, upload)
        except (OSError, QuotaExceededError):  # what has come would hold room that nobody uses
            self.uploads.end(upload)
            raise

    def _store(self, upload: Upload, digest: str) -> None:
        self.storage.add_blob(upload.repository, digest, upload.complete(digest))

    async def _check_room(self, request: Request, repository: str, upload: Upload | None = None) -> None:
        """Refuse what can't fit before it is sent, if its size is announced."""
        length = request.headers.get("content-length", "")
        if length.isdigit() and self.storage.has_quota:
            size, others = upload.size if upload else 0, self.uploads.others(repository, upload)
            await asyncio.to_thread(self.storage.check_room, repository, size + int(length), others)

    async def _receive(self, request: Request, upload: Upload) -> None:
        """Write and hash one block while the next one comes. When this returns or raises, nobody writes any more."""
        writing: asyncio.Future[None] | None = None
        try:
            async for block in _blocks(request.stream()):
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(asyncio.to_thread(self._append, upload, block))
        finally:
            if writing is not None:
                await writing

    def _append(self, upload: Upload, block: bytes) -> None:
        if self.storage.has_quota:
            others = self.uploads.others(upload.repository, upload)
            self.storage.check_room(upload.repository, upload.size + len(block), others)
        upload.append(block)


async def _blocks(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in larger pieces: one visit to a thread each."""
    pieces: list[bytes] = []
    size = 0
    async for piece in stream:
        pieces.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if size:
        yield b"".join(pieces)


def _read_algorithm(name: str | None) -> str:
    """What the client will name the blob by; a hint, which saves reading it twice."""
    if name is not None and name not in names.ALGORITHMS:
        raise DigestInvalidError(f"{name[:80]!r} is not an algorithm of digests here: use {' or '.join(names.ALGORITHMS)}")
    return name or names.ALGORITHMS[0]


def _progress(upload: Upload) -> dict[str, str]:
    return {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{upload.id}",
        "Range": f"0-{max(upload.size - 1, 0)}",
        "Docker-Upload-UUID": upload.id,
    }


def _accepted(upload: Upload) -> Response:
    return Response(status_code=202, headers=_progress(upload))


def _created(repository: str, digest: str) -> Response:
    return Response(status_code=201, headers={"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest})
