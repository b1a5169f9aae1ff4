"""The hash chain: what a line's hash covers, and whether lines follow from one another. Knows no database and no server.

`hash` = sha256(previous hash, line feed, canonical JSON), the JSON being the list of seq, at, actor, action, object_id, before
and after, with sorted keys and no spaces. A line that belongs to an app or an install has app_id and install_id at its end;
so lines from before there were any keep their hashes, and none can be added to a line, or taken from it, unseen.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, tzinfo
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import NamedTuple

from api.contract.base import Json

GENESIS = "0" * 64
"""What the first line of all has for its previous hash."""


class Line(NamedTuple):
    """One line, with all that its hash covers, and the hash that it claims."""

    seq: int
    at: datetime
    actor: str
    action: str
    object_id: str
    before: Json
    after: Json
    app_id: str | None
    install_id: str | None
    previous_hash: str
    hash: str


class End(NamedTuple):
    """Where a checked stretch of the chain ends: what the next line must follow from."""

    seq: int
    hash: str


START = End(0, GENESIS)

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=256)
def _text_of(at: datetime, _zone: tzinfo | None) -> str:
    """Many lines have one moment. Equal moments of different zones differ in their texts."""
    return at.isoformat()


def json_of(value: Json) -> str:
    """A value as a line's hash covers it."""
    return "null" if value is None else _CANONICAL.encode(value)


def hash_of(line: Line) -> str:
    """The hash that a line ought to have."""
    return hash_with(line, json_of(line.before), json_of(line.after))


def hash_with(line: Line, before: str, after: str) -> str:
    """The same, for whoever has the texts of the two values."""
    texts = ",".join([_quoted(text) for text in (_text_of(line.at, line.at.tzinfo), line.actor, line.action, line.object_id)])
    body = f"{line.seq},{texts},{before},{after}"
    if line.app_id is not None or line.install_id is not None:
        body += f",{json_of(line.app_id)},{json_of(line.install_id)}"
    return hashlib.sha256(f"{line.previous_hash}\n[{body}]".encode()).hexdigest()


def follow(end: End, lines: Iterable[Line]) -> tuple[End, int | None]:
    """Check lines that come after `end`: the new end, and the number of the first line that doesn't follow, or None."""
    seq, previous = end
    for line in lines:
        if line.seq != seq + 1 or line.previous_hash != previous or line.hash != hash_of(line):
            return End(seq, previous), line.seq
        seq, previous = line.seq, line.hash
    return End(seq, previous), None
