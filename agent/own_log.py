"""The agent's own log: on stderr, for whoever runs the machine, and in its folder, for the support bundle.

Secrets of the jobs at work don't stand in it either.
"""

import contextlib
import logging
import weakref
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from agent.redaction import Redactor

FILE = "agent.log"
FILE_BYTES, FILES = 2 * 1024 * 1024, 5
"""At most so much is kept in the folder: 10 MiB."""


class OwnLogFormatter(logging.Formatter):
    """Redacts every line with the redactors of all jobs at work."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._redactors: weakref.WeakSet[Redactor] = weakref.WeakSet()

    def watch(self, redactor: Redactor) -> None:
        """Use a job's redactor as long as the job has it."""
        self._redactors.add(redactor)

    def format(self, record: logging.LogRecord) -> str:
        """The line, stack trace included."""
        line = super().format(record)
        for redactor in list(self._redactors):
            line = redactor.text(line)
        return line


class _LastLines(logging.FileHandler):
    """The newest lines, in a few files of bounded size. A line that finds no room on the disk is on stderr all the same.

    `logging.handlers` has one like it, and half a megabyte of pickle and sockets for the others there.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Add the line to the file, or begin a new one with it if it would be too much."""
        try:
            line = self.format(record)
            self.stream = self.stream or self._open()
            written = self.stream.tell()
            if written and written + len(line.encode()) + 1 > FILE_BYTES:
                self._begin_anew()
            self.stream.write(line + "\n")
            self.flush()
        except Exception:  # as every handler of logging: what is logged must never end what logs
            self.handleError(record)

    def _begin_anew(self) -> None:
        self.close()
        file = Path(self.baseFilename)
        files = [file, *(file.with_name(f"{file.name}.{number}") for number in range(1, FILES))]
        for newer, older in reversed(list(pairwise(files))):
            if newer.exists():
                newer.replace(older)
        self.stream = self._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Nothing: to complain of each line would fill the other log."""


@contextlib.contextmanager
def kept_in(folder: Path, formatter: OwnLogFormatter) -> Iterator[None]:
    """Keep the log in `folder`, too, as long as there is room."""
    handler = _LastLines(folder / FILE, encoding="utf-8", delay=True)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        with contextlib.suppress(OSError):  # what a full disk didn't take is tried once more
            handler.close()


def log_to_stderr() -> OwnLogFormatter:
    """Set logging up for an agent's process."""
    formatter = OwnLogFormatter()
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return formatter
