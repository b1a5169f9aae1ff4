"""Check a ledger's chain, without the agent and without the IMS."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.ledger.entry import KNOWN, NOTHING, Entry, hash_of, parse
from agent.ledger.ledger import HeldFile

LedgerFile = Path | HeldFile


@dataclass(frozen=True)
class Broken:
    """The first line at which the chain doesn't hold."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True)
class Verdict:
    """What a check found. The chain holds from `first` to `last`; `torn` = a crash cut off what comes after it.

    `unknown` counts, by kind, the entries of kinds that this version doesn't know.
    """

    entries: int
    first: Entry | None
    last: Entry | None
    broken: Broken | None
    torn: bool = False
    unknown: Mapping[str, int] = field(default_factory=dict)


def verify(files: Sequence[LedgerFile], head: str | None = None) -> Verdict:
    """Check files, oldest first, up to the first line that is wrong.

    `head` is a hash that somebody wrote down earlier: the chain must have an entry with it. Without it, a ledger whose last
    entries were cut off, or that was written anew from a checkpoint on, can't be told from a whole one.
    """
    first = last = None
    count = 0
    torn = found = False
    unknown: Counter[str] = Counter()
    for file, number, line in _lines(files):
        if not line.endswith(b"\n") and file == files[-1]:
            torn = True  # no end of a line: a crash's work, which the agent's next entry cuts off and notes
            break
        made = parse(line)
        reason = _wrong(made, last)
        if made is None or reason:
            return Verdict(count, first, last, Broken(file.name, number, reason), torn)
        first, last, count = first or made, made, count + 1
        found = found or made.hash == head
        unknown.update({made.event} - KNOWN)
    if head and not found:
        name, reason = (
            (files[-1].name if files else "ledger"),
            f"no entry has the hash {head}: entries were cut off or replaced",
        )
        return Verdict(count, first, last, Broken(name, 0, reason), torn)
    return Verdict(count, first, last, None, torn, unknown)


def entries(files: Sequence[LedgerFile]) -> Iterator[Entry]:
    """Every entry that can be read, checked or not."""
    for _, _, line in _lines(files):
        made = parse(line)
        if made:
            yield made


def contents(files: Sequence[LedgerFile]) -> Iterator[bytes]:
    """Every line, byte for byte."""
    for _, _, line in _lines(files):
        yield line


def _lines(files: Sequence[LedgerFile]) -> Iterator[tuple[LedgerFile, int, bytes]]:
    for file in files:
        if isinstance(file, HeldFile):
            yield from ((file, number, line) for number, line in enumerate(file.lines(), 1))
            continue
        with file.open("rb") as opened:
            for number, line in enumerate(opened, 1):
                yield file, number, line


def _wrong(made: Entry | None, last: Entry | None) -> str:
    """Why an entry can't follow the one before it, in words; empty if it can."""
    if made is None:
        return "this is no entry"
    if hash_of(made.model_dump(mode="json")) != made.hash:
        return f"entry {made.seq} was changed: its hash is not that of what it says"
    if last is None:
        if made.event != "checkpoint":
            return f"the ledger begins with {made.event}, not with a checkpoint: lines were removed before it"
        if made.seq == 1 and made.prev != NOTHING:
            return "the first entry names one before it"
        return ""
    if made.seq != last.seq + 1:
        return f"entry {made.seq} follows entry {last.seq}: lines were removed, added or moved, or the chain was begun anew"
    return "" if made.prev == last.hash else f"entry {made.seq} doesn't name the entry before it"
