"""The agent's own log: on stderr, for whoever runs the machine. Secrets of the jobs at work don't stand in it either."""

import logging
import weakref

from agent.redaction import Redactor


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


def log_to_stderr() -> OwnLogFormatter:
    """Set logging up for an agent's process."""
    formatter = OwnLogFormatter()
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return formatter
