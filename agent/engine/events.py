"""The engine's `-json` lines as typed events. What isn't known is kept as a plain line, never dropped."""

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal


@dataclass(frozen=True)
class Diagnostic:
    """An error or a warning. `file` is relative to the module; `line` counts from 1."""

    severity: Literal["error", "warning"]
    summary: str
    detail: str = ""
    address: str = ""
    file: str = ""
    line: int = 0

    @property
    def text(self) -> str:
        """As a person reads it: `Error: summary (main.tf:3): detail`."""
        where = f" ({self.file}:{self.line})" if self.file else f" ({self.address})" if self.address else ""
        return f"{self.severity.capitalize()}: {self.summary}{where}" + (f"\n{self.detail}" if self.detail else "")


@dataclass(frozen=True)
class ChangeSummary:
    """What a plan would do, or an apply has done. An apply that failed has none."""

    operation: str
    add: int
    change: int
    remove: int
    text: str


@dataclass(frozen=True)
class ResourceEvent:
    """Something begins, goes on or ends at one resource. `type` is the engine's own, such as `apply_start`."""

    type: str
    address: str
    text: str


@dataclass(frozen=True)
class LogLine:
    """Any other line."""

    text: str


EngineEvent = Diagnostic | ChangeSummary | ResourceEvent | LogLine


def parse(line: str) -> EngineEvent:
    """One line of output as an event."""
    if not line.startswith("{"):
        return LogLine(line)
    try:
        fields = json.loads(line)
        return _event(fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return LogLine(line)


def _event(fields: dict[str, Any]) -> EngineEvent:
    text = str(fields["@message"])
    match fields.get("type"):
        case "diagnostic":
            return diagnostic(fields["diagnostic"])
        case "change_summary":
            changes = fields["changes"]
            return ChangeSummary(changes["operation"], changes["add"], changes["change"], changes["remove"], text)
        case str(kind) if "hook" in fields:
            return ResourceEvent(kind, fields["hook"]["resource"]["addr"], text)
        case "planned_change" | "resource_drift":
            return ResourceEvent(fields["type"], fields["change"]["resource"]["addr"], text)
    return LogLine(text)


def diagnostic(fields: dict[str, Any]) -> Diagnostic:
    """A diagnostic of the engine's JSON, as in `-json` lines."""
    source = fields.get("range") or {}
    return Diagnostic(
        severity="error" if fields["severity"] == "error" else "warning",
        summary=str(fields["summary"]),
        detail=str(fields.get("detail") or ""),
        address=str(fields.get("address") or ""),
        file=str(source.get("filename") or ""),
        line=int((source.get("start") or {}).get("line") or 0),
    )


_FRAME = re.compile(r"^[╷│╵ \t]*")
_AT = re.compile(r"^(?:on )?(?P<file>\S+) line (?P<line>\d+)")


def boxed_errors(lines: list[str]) -> list[Diagnostic]:
    """The errors in output for people, where each stands in a box drawn with `│`: what commands without `-json` print."""
    found: list[Diagnostic] = []
    texts = [_FRAME.sub("", line).rstrip() for line in lines]
    starts = [number for number, text in enumerate(texts) if text.startswith("Error: ")]
    for start, end in pairwise([*starts, len(texts)]):
        inside = [text for line, text in zip(lines[start + 1 : end], texts[start + 1 : end], strict=True) if "╵" not in line]
        at = next((match for text in inside if (match := _AT.match(text))), None)
        detail = [text for text in inside if text and not _AT.match(text) and not re.match(r"\d+: ", text)]
        found.append(
            Diagnostic(
                "error",
                texts[start].removeprefix("Error: "),
                "\n".join(detail),
                file=at["file"] if at else "",
                line=int(at["line"]) if at else 0,
            )
        )
    return found
