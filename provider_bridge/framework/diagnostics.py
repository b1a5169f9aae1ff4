"""What a user is told: errors and warnings, each on the attribute that caused it, with what to do about it."""

from collections.abc import Iterable
from typing import Literal

from provider_bridge.records import Record


class Key(Record):
    """A step of a path that goes into a map. An attribute's name is a plain string, a list's index an int."""

    name: str


Path = tuple[str | int | Key, ...]
"""The way to a value in a resource: `("variables", Key("cidr"))`. Empty stands for the whole resource."""


class Diagnostic(Record):
    """One message, as Terraform shows it: the summary in bold, the detail below, the attribute's lines between them."""

    severity: Literal["error", "warning"]
    summary: str
    detail: str
    path: Path = ()


def error(summary: str, detail: str, *, remedy: str = "", path: Path = ()) -> Diagnostic:
    """An error: what is wrong, then what to do."""
    return Diagnostic("error", summary, _with_remedy(detail, remedy), path)


def warning(summary: str, detail: str, *, remedy: str = "", path: Path = ()) -> Diagnostic:
    """A warning: what to know, then what can be done."""
    return Diagnostic("warning", summary, _with_remedy(detail, remedy), path)


def _with_remedy(detail: str, remedy: str) -> str:
    return f"{detail}\n\n{remedy}" if remedy and detail else detail or remedy


class RefusedError(Exception):
    """Ends a call with these diagnostics; at least one is an error."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(each.summary for each in diagnostics))
        self.diagnostics = diagnostics


def failed(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether one of them is an error."""
    return any(each.severity == "error" for each in diagnostics)
