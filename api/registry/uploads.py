"""Blobs on their way in. Their bytes lie in the scratch folder, which nobody reads; what is known about them is in memory.

A restart therefore ends every upload: the client's next request gets 404 and it begins again, as the spec provides.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api.registry import durable
from api.registry.errors import DigestInvalidError, UploadBusyError, UploadUnknownError

IDLE_SECONDS = 3600.0
"""An upload to which nobody writes for so long is given up."""


class Upload:
    """One blob on its way in: `size` bytes of it are there. Its methods block; call them in a thread."""

    def __init__(self, upload_id: str, repository: str, path: Path) -> None:
        self.id = upload_id
        self.repository = repository
        self.size = 0
        self._path = path
        self._hash = hashlib.sha256()
        durable.append(path, b"")

    def append(self, block: bytes) -> None:
        """Add a block. After an OSError the upload can't be used any more: the file may hold a part of the block."""
        durable.append(self._path, block)
        self._hash.update(block)
        self.size += len(block)

    def complete(self, digest: str) -> Path:
        """The file, on the disk in full, if its content has this digest. Raises DigestInvalidError."""
        received = "sha256:" + self._hash.hexdigest()
        if received != digest:
            raise DigestInvalidError(f"the content received has the digest {received}, not {digest}; upload it again")
        durable.sync_file(self._path)
        return self._path

    def remove(self) -> None:
        """Remove the file, if it is still in the scratch folder."""
        self._path.unlink(missing_ok=True)


class Uploads:
    """The uploads under way in one process. Used from the event loop's thread only."""

    def __init__(self, scratch: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._scratch = scratch
        self._clock = clock
        self._uploads: dict[str, Upload] = {}
        self._touched: dict[str, float] = {}
        self._busy: set[str] = set()

    def start(self, repository: str) -> Upload:
        """A new, empty upload; those that nobody has written to for `IDLE_SECONDS` are given up first."""
        now = self._clock()
        for upload_id, touched in list(self._touched.items()):
            if now - touched > IDLE_SECONDS and upload_id not in self._busy:
                self.end(self._uploads[upload_id])
        upload_id = secrets.token_hex(16)
        upload = Upload(upload_id, repository, self._scratch / upload_id)
        self._uploads[upload_id] = upload
        self._touched[upload_id] = now
        return upload

    def find(self, repository: str, upload_id: str) -> Upload:
        """An upload under way in this repository. Raises UploadUnknownError."""
        upload = self._uploads.get(upload_id)
        if upload is None or upload.repository != repository:
            raise UploadUnknownError("there is no such upload: it has ended, or the registry was restarted; begin again")
        return upload

    @contextmanager
    def writing(self, upload: Upload) -> Iterator[None]:
        """Hold the upload for one request. Raises UploadBusyError if another one holds it."""
        if upload.id in self._busy:
            raise UploadBusyError("another request is writing to this upload")
        self._busy.add(upload.id)
        try:
            yield
        finally:
            self._busy.discard(upload.id)
            if upload.id in self._uploads:
                self._touched[upload.id] = self._clock()

    def end(self, upload: Upload) -> None:
        """Forget the upload, and remove its file if it was not made a blob."""
        del self._uploads[upload.id]
        del self._touched[upload.id]
        upload.remove()
