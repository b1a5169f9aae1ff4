"""One line of the ledger: docs/reference/ledger.md has the format for whoever checks it with a program of their own."""

import hashlib
import json
from datetime import datetime
from typing import Literal, get_args

from agent.oci.manifest import canonical_json
from api.contract.base import Digest, Json, Model

Event = Literal[
    "checkpoint",
    "healed",
    "agent.started",
    "agent.paused",
    "agent.resumed",
    "agent.disconnected",
    "trust.changed",
    "update.offered",
    "update.begun",
    "update.ended",
    "job.taken",
    "artifact.verified",
    "policy.asks",
    "plan.saved",
    "plan.approved",
    "plan.begun",
    "job.ended",
]

KNOWN: frozenset[str] = frozenset(get_args(Event))
"""What this version writes. A later one may have written others, before it was put back: they are links like all."""

NOTHING: Digest = "sha256:" + "0" * 64
"""What the first entry of all names as the one before it (`prev`)."""


class Entry(Model):
    """What happened. `seq` counts from 1; `prev` is the hash of the entry before; `hash` covers every other field.

    `event` is an `Event`, or of a kind that this version doesn't know.
    """

    seq: int
    at: datetime
    event: str
    data: dict[str, Json]
    prev: Digest
    hash: Digest

    def line(self) -> bytes:
        """The entry as its line, with its end."""
        return canonical_json(self.model_dump(mode="json")) + b"\n"


def entry(seq: int, at: datetime, event: Event, data: dict[str, Json], prev: Digest) -> Entry:
    """An entry with its hash: SHA-256 of its own line without the field `hash`."""
    made = Entry(seq=seq, at=at, event=event, data=data, prev=prev, hash=NOTHING)
    return made.model_copy(update={"hash": hash_of(made.model_dump(mode="json"))})


def hash_of(document: dict[str, Json]) -> Digest:
    """The hash that an entry with these fields must have, whatever it says itself."""
    covered = {name: value for name, value in document.items() if name != "hash"}
    return "sha256:" + hashlib.sha256(canonical_json(covered)).hexdigest()


def parse(line: bytes) -> Entry | None:
    """The entry of a line, or None if it isn't one, or isn't written as an agent writes it. Its hash isn't checked."""
    try:
        found = Entry.model_validate(json.loads(line))
    except ValueError:
        return None
    return found if found.line().rstrip(b"\n") == line.rstrip(b"\n") else None
