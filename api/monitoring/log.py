"""The server's log: text for people or one JSON object a line, each with what is known of the request that it belongs to."""

import json
import logging
import re
import sys
from contextvars import ContextVar
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from api.settings import Settings

_SECRET = re.compile(
    r"\b(exc[a-z]+_)[A-Za-z0-9_-]{16,}"  # what `tokens.secrets.new_secret` makes
    r"|((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(://[^/@\s:]*:)[^/@\s]+(?=@)"
    r"|(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]+?(?=-----END|$)",
    re.IGNORECASE,
)


@dataclass(slots=True)
class RequestFacts:
    """What is known of the request that is being answered. Filled in as it becomes known; never with anything secret."""

    request_id: str
    actor: str | None = None
    agent_id: str | None = None
    job_id: str | None = None


current: ContextVar[RequestFacts | None] = ContextVar("request", default=None)


def note(*, actor: str | None = None, agent_id: str | None = None) -> None:
    """Add to the facts of the current request, if there is one."""
    facts = current.get()
    if facts is not None:
        facts.actor, facts.agent_id = actor or facts.actor, agent_id or facts.agent_id


def without_secrets(text: str) -> str:
    """A last net under the rule that no secret is given to the log: masks what looks like one."""
    return _SECRET.sub(lambda found: next(part for part in found.groups() if part is not None) + "********", text)


class _Formatter(logging.Formatter):
    def facts(self, record: logging.LogRecord) -> dict[str, str]:
        request = getattr(record, "request", None) or current.get()
        known = {one.name: getattr(request, one.name) for one in fields(RequestFacts)} if request else {}
        return {name: value for name, value in known.items() if value} | getattr(record, "facts", {})

    def when(self, record: logging.LogRecord) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(_Formatter):
    """`time LEVEL logger: message  name=value …`, and a stack trace on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a stack trace if there is one."""
        facts = "".join(f"  {name}={value}" for name, value in self.facts(record).items())
        text = f"{self.when(record)} {record.levelname} {record.name}: {record.getMessage()}{facts}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return without_secrets(text)


class JsonFormatter(_Formatter):
    """One JSON object: `time`, `level`, `logger`, `message`, what is known of the request, and `error` with a stack trace."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a stack trace if there is one."""
        line = {
            "time": self.when(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            **{name: without_secrets(value) if isinstance(value, str) else value for name, value in self.facts(record).items()},
        }
        if record.exc_info:
            line["error"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(settings: Settings) -> None:
    """Send every logger of the process, uvicorn's too, to stderr in the chosen form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    level = settings.log_level.upper()
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for name in ("httpx", "httpcore", "alembic", "opentelemetry"):  # their `info` tells of our own insides
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
