"""Blobs on their way in. Their bytes lie in the scratch folder, which nobody reads; what is known about them is in memory.

A restart therefore ends every upload: the client's next request gets 404 and it begins again, as the spec provides.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api.registry import durable, names
from api.registry.errors import DigestInvalidError, UploadBusyError, UploadUnknownError
from api.registry.quota import UnderWay

IDLE_SECONDS = 3600.0
"""An upload to which nobody writes for so long is given up, unless the operator says otherwise."""


class Upload:
    """One blob on its way in: `size` bytes of it are there. Its methods block; call them in a thread.

    `algorithm` is that of the digest which is expected at the end; with another one, the file is read once more there.
    """

    def __init__(self, upload_id: str, repository: str, path: Path, algorithm: str = names.ALGORITHMS[0]) -> None:
        self.id = upload_id
        self.repository = repository
        self.size = 0
        self._path = path
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        durable.append(path, b"")

    def append(self, block: bytes) -> None:
        """Add a block. After an OSError the upload can't be used any more: the file may hold a part of the block."""
        durable.append(self._path, block)
        self._hash.update(block)
        self.size += len(block)

    def complete(self, digest: str) -> Path:
        """The file, on the disk in full, if its content has this digest. Raises DigestInvalidError."""
        algorithm, whole = names.algorithm_of(digest), self._hash
        if algorithm != self._algorithm:
            with self._path.open("rb") as file:
                whole = hashlib.file_digest(file, algorithm)
        received = f"{algorithm}:{whole.hexdigest()}"
        if received != digest:
            raise DigestInvalidError(f"the content received has the digest {received}, not {digest}; upload it again")
        durable.sync_file(self._path)
        return self._path

    def remove(self) -> None:
        """Remove the file, if it is still in the scratch folder."""
        self._path.unlink(missing_ok=True)


class Uploads:
    """The uploads under way in one process. Used from the event loop's thread only, where nothing else is said."""

    def __init__(self, scratch: Path, clock: Callable[[], float] = time.monotonic, *, idle: float = IDLE_SECONDS) -> None:
        self._scratch = scratch
        self._idle = idle
        self._clock = clock
        self._uploads: dict[str, Upload] = {}
        self._touched: dict[str, float] = {}
        self._busy: set[str] = set()

    def start(self, repository: str, algorithm: str = names.ALGORITHMS[0]) -> Upload:
        """A new, empty upload."""
        upload_id = secrets.token_hex(16)
        upload = Upload(upload_id, repository, self._scratch / upload_id, algorithm)
        self._uploads[upload_id] = upload
        self._touched[upload_id] = self._clock()
        return upload

    def expire(self) -> int:
        """Give up those to which nobody has written for too long. Returns how many."""
        now = self._clock()
        expired = [
            upload_id
            for upload_id, touched in self._touched.items()
            if now - touched > self._idle and upload_id not in self._busy
        ]
        for upload_id in expired:
            self.end(self._uploads[upload_id])
        return len(expired)

    def find(self, repository: str, upload_id: str) -> Upload:
        """An upload under way in this repository. Raises UploadUnknownError."""
        upload = self._uploads.get(upload_id)
        if upload is None or upload.repository != repository:
            raise UploadUnknownError("there is no such upload: it has ended, or the registry was restarted; begin again")
        return upload

    def others(self, repository: str, upload: Upload | None) -> UnderWay:
        """What has come of all but this one. From any thread."""
        sizes = [(each.repository, each.size) for each in list(self._uploads.values()) if each is not upload]
        return UnderWay(sum(size for _, size in sizes), sum(size for name, size in sizes if name == repository))

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
