"""State in a folder: the agent's own, or one that its customer names."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.durable import ASIDE, flush_folder, sweep_asides, write_durably
from agent.state.store import Found, MovedOnError, StateUnreachableError


@dataclass(frozen=True)
class FolderStore:
    """See `Store`. A file for each object; a `flock` makes a comparison and its write one."""

    folder: Path
    remote: bool = False

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)

    def read(self, name: str) -> Found | None:
        """See `Store`."""
        with self._words():
            try:
                data = (self.folder / name).read_bytes()
            except FileNotFoundError:
                return None
            return Found(data, _tag(data))

    def write(self, name: str, data: bytes, tag: str | None) -> str:
        """See `Store`."""
        with self._words(), self._alone():
            found = self.read(name)
            if (found.tag if found else None) != tag:
                raise MovedOnError(name)
            write_durably(self.folder / name, data)
            return _tag(data)

    def delete(self, name: str) -> None:
        """See `Store`. Folders that are empty then go too."""
        file = self.folder / name
        with self._words(), self._alone():
            file.unlink(missing_ok=True)
            if file.parent.exists():
                sweep_asides(file)
            folder = file.parent
            while folder != self.folder and folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
                folder = folder.parent
            if folder.exists():
                flush_folder(folder)

    def names(self, prefix: str) -> list[str]:
        """See `Store`."""
        with self._words():
            found = [
                Path(where, name).relative_to(self.folder).as_posix()
                for where, _, files in os.walk((self.folder / prefix).parent, onerror=_unless_gone)
                for name in files
                if not name.endswith(ASIDE)
            ]
            return sorted(name for name in found if name.startswith(prefix))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateUnreachableError(f"state in {self.folder} can't be used: {error.strerror}") from None


def _unless_gone(error: OSError) -> None:
    """A folder that `delete` has removed since its name was read has no names; anything else is an error."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
