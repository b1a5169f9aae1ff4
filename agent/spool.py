"""A job's log on the agent's disk, cut into chunks for the IMS.

The text waits here while the IMS can't be reached, and a chunk that may have arrived is sent again with exactly the same bytes,
also after `kill -9`: the chunk that is on its way is noted beside the text before it is sent.
"""

import contextlib
import errno
import shutil
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from agent import durable
from api.contract.agents import LOG_CHUNK_BYTES
from api.contract.base import Model

LOG_BYTES = 256 * 1024 * 1024
"""At most so much of one attempt's log is kept; the rest is counted as lost."""


@dataclass(frozen=True)
class Chunk:
    """Bytes of UTF-8 text that begin at `offset`; `seq` counts the chunks of an attempt from 0."""

    seq: int
    offset: int
    data: bytes


class _OnItsWay(Model):
    seq: int = 0
    offset: int = 0
    length: int = 0


class LogSpool:
    """The log of one attempt. What an earlier process wrote of it is taken up again."""

    def __init__(self, folder: Path, job_id: str, attempt: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        name = _name(job_id, attempt)
        self._file = folder / f"{name}.log"
        self._note = folder / f"{name}.json"
        self._size = self._kept()
        self._current = _OnItsWay.model_validate_json(self._note.read_bytes()) if self._note.exists() else _OnItsWay()
        self.lost_bytes = 0

    def append(self, text: str) -> None:
        """Add to the end. Never raises for a full disk: a log that can't be kept must not end the work that it tells of."""
        data = text.encode()
        try:
            if self._size + len(data) > LOG_BYTES:
                raise OSError(errno.EFBIG, "the log is too large")
            if shutil.disk_usage(self._folder).free < durable.RESERVED_BYTES:
                raise OSError(errno.ENOSPC, "what is left of the disk is for state and reports")
            with self._file.open("ab") as file:
                file.write(data)
        except OSError:
            self.lost_bytes += len(data)
            self._size = self._kept()
        else:
            self._size += len(data)

    @property
    def waiting(self) -> int:
        """Bytes that the IMS hasn't acknowledged."""
        return self._size - self._current.offset

    def next(self) -> Chunk | None:
        """The chunk to send now; the same one until it is `sent`."""
        if not self._current.length:
            if not self.waiting:
                return None
            length = len(_whole_characters(self._read(self._current.offset, LOG_CHUNK_BYTES)))
            self._current = self._current.model_copy(update={"length": length})
            self._note_down()
        return Chunk(self._current.seq, self._current.offset, self._read(self._current.offset, self._current.length))

    def sent(self) -> None:
        """The chunk on its way has arrived."""
        current = self._current
        self._current = _OnItsWay(seq=current.seq + 1, offset=current.offset + current.length)

    def give_up(self) -> None:
        """The chunk on its way won't be taken: it is lost, and the gap shows in the offsets."""
        self.lost_bytes += self._current.length
        self.sent()

    def remove(self) -> None:
        """Take the log off the disk."""
        self._file.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _note_down(self) -> None:
        # Moved into place, but not flushed to the disk: a log may lose its order in a power failure, not in a crash. On a full
        # disk it does, too: to go on is worth more.
        aside = self._note.with_suffix(".new")
        with contextlib.suppress(OSError):
            aside.write_text(self._current.model_dump_json())
            aside.replace(self._note)

    def _kept(self) -> int:
        return self._file.stat().st_size if self._file.exists() else 0

    def _read(self, offset: int, length: int) -> bytes:
        with self._file.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def _name(job_id: str, attempt: int) -> str:
    return f"{quote(job_id, safe='')}.{attempt}"


def sweep_spools(folder: Path, kept: Set[tuple[str, int]]) -> None:
    """Remove all logs in `folder` but those of these attempts (job id, attempt)."""
    names = {_name(job_id, attempt) for job_id, attempt in kept}
    for file in folder.glob("*") if folder.exists() else []:
        if file.stem not in names:
            file.unlink(missing_ok=True)


def _whole_characters(data: bytes) -> bytes:
    """`data` without a character that is cut in two at its end (at most 3 bytes)."""
    end = len(data)
    while end and data[end - 1] & 0xC0 == 0x80:
        end -= 1
    begins = data[end - 1] if end else 0
    width = 4 if begins >= 0xF0 else 3 if begins >= 0xE0 else 2 if begins >= 0xC0 else 1
    return data if len(data) - (end - 1) >= width else data[: end - 1]
