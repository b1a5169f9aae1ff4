"""The hash chain of the history: what makes a changed or missing line show."""

from typing import Any

from sqlmodel import col, select

from api.contract.base import Json
from api.db.columns import JsonText
from api.db.link import Link
from api.db.statements import Columns, shape_of
from api.db.transaction import Write
from api.events.lines import GENESIS, Line, hash_with, json_of
from api.events.models import EventRow


def _storable(text: str) -> str:
    """Text without what no database has a place for: NUL, and halves of surrogate pairs."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd")


_LAST = Columns(select(EventRow.seq, EventRow.hash).order_by(col(EventRow.seq).desc()).limit(1))


class Chain:
    """See `transaction.History`. It remembers the last line, so that adding one needs no query."""

    def __init__(self) -> None:
        self._seq = 0
        self._last_hash = GENESIS
        self._known = False
        self._lines: list[dict[str, Any]] = []

    def begin(self, link: Link, *, shared: bool) -> None:
        """Look for the last line, unless it is known."""
        if self._known and not shared:
            return
        self._seq, self._last_hash = next(iter(_LAST.rows(link, {})), (0, GENESIS))
        self._known = True

    def add(
        self, tx: Write, action: str, object_id: str, before: Json, after: Json, app_id: str | None, install_id: str | None
    ) -> None:
        """Chain one more line to the last one."""
        # What a caller sent may stand in these two. A line that can't be written would fail all writes of its commit.
        actor, about = _storable(tx.actor), _storable(object_id)
        line = Line(self._seq + 1, tx.now, actor, action, about, before, after, app_id, install_id, self._last_hash, hash="")
        texts = json_of(before), json_of(after)
        values = line._asdict()
        values["before"], values["after"] = [None if text == "null" else JsonText(text) for text in texts]
        values["hash"] = hash_with(line, *texts)
        self._lines.append(values)
        self._seq, self._last_hash = line.seq, values["hash"]

    def mark(self) -> int:
        """How many lines the batch has so far."""
        return len(self._lines)

    def undo(self, mark: int) -> None:
        """Go back to the line before the first one that is undone."""
        if mark < len(self._lines):
            first = self._lines[mark]
            self._seq, self._last_hash = first["seq"] - 1, first["previous_hash"]
            del self._lines[mark:]

    def write(self, link: Link) -> None:
        """Insert all lines with one statement."""
        if self._lines:
            link.change(shape_of(EventRow, link.dialect).insert, self._lines)

    def ended(self, *, committed: bool) -> None:
        """Forget the lines; after a failed commit, the last line must be looked for anew."""
        self._lines.clear()
        self._known = committed
