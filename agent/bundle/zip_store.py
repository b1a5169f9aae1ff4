"""Zips of large files that many bundles share, kept so that each is made once."""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from agent.bundle.zip import PackedFile, write_zip
from agent.oci.digest import digest_of_file

_KEPT_SECONDS = 30 * 24 * 3600


class ZipStore:
    """A folder of deflated zips, each named after a hash of what is in it. Unused ones go after 30 days.

    Every method blocks: call it in a thread. Several processes may share the folder.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def zip_of(self, files: Iterable[PackedFile]) -> Path:
        """The zip of these files, which the caller must not change."""
        files = tuple(files)
        path = self._folder / f"{_key(files)}.zip"
        now = self._clock()
        try:
            os.utime(path, (now, now))
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._drop_unused(now)
            handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=".new")
            os.close(handle)
            write_zip(Path(temporary), files, "deflated")
            os.utime(temporary, (now, now))
            Path(temporary).replace(path)
        return path

    def _drop_unused(self, now: float) -> None:
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # one that is made meanwhile has got its name, or somebody else was quicker
                if path.stat().st_mtime < now - _KEPT_SECONDS:
                    path.unlink()


def _key(files: tuple[PackedFile, ...]) -> str:
    lines = sorted(f"{file.executable:d} {digest_of_file(file.path)} {file.name}\0" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
