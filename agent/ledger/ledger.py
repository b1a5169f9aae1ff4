"""The agent's ledger: every job that it took, what it verified and carried out, and what the customer's rules said.

<home>/ledger/NNNNNN.jsonl   entries, a line each; the first of each file is a checkpoint that goes on with the chain
<home>/ledger/lock           held for the moment of an append: `exclave agent approve` writes here beside the agent

An append is on the disk when it returns. A line that a crash has torn is cut off by the next append, which says so.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from agent.durable import flush_folder
from agent.failure import CodedError
from agent.ledger.entry import NOTHING, Entry, Event, entry, parse
from api.contract.base import Json

FILE_BYTES = 4 * 1024 * 1024
KEPT_FILES = 16
"""64 MB: some 200,000 entries. The oldest file goes when one more begins; what is left is checked from its checkpoint on."""


class LedgerUnwritableError(CodedError):
    """What can't be written down isn't done."""

    code = "ledger_unwritable"
    retryable = True
    remedy = "Make room on the agent's disk, and see that the agent may write to the folder `ledger` in its home."


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class HeldFile:
    """A file of the ledger, as it was when it was opened: what comes after is left out, and it may be gone from the folder."""

    name: str
    content: BinaryIO
    size: int

    def lines(self) -> Iterator[bytes]:
        """Its lines, with their ends, from the first one. The last one has none if it was torn."""
        self.content.seek(0)
        left = self.size
        while left > 0 and (line := self.content.readline(left)):
            left -= len(line)
            yield line


@dataclass(frozen=True)
class Ledger:
    """The ledger in an agent's home."""

    home: Path
    clock: Callable[[], datetime] = _now
    file_bytes: int = FILE_BYTES
    kept_files: int = KEPT_FILES

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.home / "ledger"

    def files(self) -> list[Path]:
        """Its files, oldest first."""
        return sorted(self.folder.glob("[0-9]*.jsonl"), key=lambda file: int(file.stem))

    @contextmanager
    def held(self) -> Iterator[list[HeldFile]]:
        """Its files as they all are at one moment, oldest first, whatever the agent appends and takes away meanwhile.

        Raises OSError.
        """
        with ExitStack() as stack:
            with self._locked_to_read():
                opened = [(file.name, stack.enter_context(file.open("rb"))) for file in self.files()]
                found = [HeldFile(name, content, os.fstat(content.fileno()).st_size) for name, content in opened]
            yield found

    def append(self, event: Event, **data: Json) -> Entry:
        """Add an entry, durably. Blocks. Raises LedgerUnwritableError."""
        try:
            with self._locked():
                return self._append(event, data)
        except OSError as error:
            raise LedgerUnwritableError(f"the ledger in {self.folder} can't be written: {error.strerror}") from None

    def _append(self, event: Event, data: dict[str, Json]) -> Entry:
        last = self._last()
        newest = self.files()[-1]
        if newest.stat().st_size >= self.file_bytes:
            last = self._begin(last, {"after": newest.name})
            for old in self.files()[: -self.kept_files]:
                old.unlink()
        return self._write(self.files()[-1], last, event, data)

    def _last(self) -> Entry:
        """The entry after which the next one goes, once the ledger's end is whole."""
        files = self.files()
        if not files:
            return self._begin(None, {})
        file = files[-1]
        whole, torn = _tail(file)
        if not whole:
            file.unlink()  # killed before its checkpoint was whole: the file before it is the last
            return self._last()
        if torn:
            os.truncate(file, file.stat().st_size - len(torn))
        last = parse(whole)
        if last is None:
            # No crash's work. The chain begins anew, and a check says where.
            return self._begin(None, {"after": file.name, "unreadable": True})
        if torn:
            digest = "sha256:" + hashlib.sha256(torn).hexdigest()
            return self._write(file, last, "healed", {"bytes": len(torn), "digest": digest})
        return last

    def _begin(self, last: Entry | None, data: dict[str, Json]) -> Entry:
        files = self.files()
        number = int(files[-1].stem) + 1 if files else 1
        file = self.folder / f"{number:06}.jsonl"
        file.touch(mode=0o600)
        written = self._write(file, last, "checkpoint", data)
        flush_folder(self.folder)
        return written

    def _write(self, file: Path, last: Entry | None, event: Event, data: dict[str, Json]) -> Entry:
        seq, prev = (last.seq + 1, last.hash) if last else (1, NOTHING)
        made = entry(seq, self.clock(), event, data, prev)
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            line = made.line()
            if os.write(descriptor, line) != len(line):
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return made

    @contextmanager
    def _locked_to_read(self) -> Iterator[None]:
        with ExitStack() as stack:
            with suppress(FileNotFoundError):  # a ledger that no agent has ever written, or a copy of one
                lock = stack.enter_context((self.folder / "lock").open("rb"))
                fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _tail(file: Path) -> tuple[bytes, bytes]:
    """The last whole line, and what stands after it without a line's end."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        block = 64 * 1024
        while True:
            opened.seek(max(0, size - block))
            data = opened.read()
            whole, _, torn = data.rpartition(b"\n")
            if b"\n" in whole or block >= size:
                return whole.rpartition(b"\n")[2], torn
            block *= 4
