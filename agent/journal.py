"""What an agent must still know after `kill -9`: the jobs that it holds, and the reports that it owes."""

import logging
import threading
from operator import itemgetter
from pathlib import Path
from urllib.parse import quote

from agent.durable import flush_folder, write_durably
from api.contract.agents import Finish
from api.contract.base import Model

log = logging.getLogger(__name__)


class JournalEntry(Model):
    """A job that this agent holds under `attempt`. `finish` is its report, once there is one, until the IMS has it."""

    job_id: str
    attempt: int
    finish: Finish | None = None


class Journal:
    """One small file for each job in progress. Every change is on the disk when the method returns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changing = threading.Lock()  # the end of an attempt must not take the next one's entry with it
        folder.mkdir(parents=True, exist_ok=True)

    def record(self, entry: JournalEntry) -> None:
        """Add the entry, or replace the one of the same job."""
        with self._changing:
            write_durably(self._file(entry.job_id), entry.model_dump_json().encode())

    def drop(self, job_id: str, attempt: int) -> None:
        """Forget an attempt. A later attempt of the same job stays."""
        file = self._file(job_id)
        with self._changing:
            if not file.exists() or JournalEntry.model_validate_json(file.read_bytes()).attempt != attempt:
                return
            file.unlink()
            flush_folder(self._folder)

    def entries(self) -> list[JournalEntry]:
        """All entries, the longest unchanged first. One that can't be read is put aside, not to keep others waiting.

        Jobs that end meanwhile may be among them, or not.
        """
        found = [read for file in self._folder.glob("*.json") if (read := self._read(file))]
        return [entry for _, entry in sorted(found, key=itemgetter(0))]

    def _read(self, file: Path) -> tuple[int, JournalEntry] | None:
        """When the file changed (nanoseconds), and its entry; None of a file that is gone or can't be read."""
        try:
            return file.stat().st_mtime_ns, JournalEntry.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            aside = file.with_suffix(".unreadable")
            file.replace(aside)
            log.exception("journal: %s can't be read, and is kept as %s", file.name, aside)
            return None

    def _file(self, job_id: str) -> Path:
        return self._folder / f"{quote(job_id, safe='')}.json"
