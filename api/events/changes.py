"""Lost updates (RFC 9110, 13.1.1): who expected another version is told who changed what meanwhile, and when."""

from collections.abc import Collection
from typing import Protocol

from sqlmodel import col, select

from api.contract.base import Json
from api.contract.problems import FieldProblem, PreconditionFailedError
from api.db.transaction import Read
from api.events.models import EventRow

_AT_MOST = 5
_DEEP = 3
_NO_FIELDS = ("name", "version")


class Versioned(Protocol):
    """A row whose version counts its changes, each of which is a line of the history."""

    id: str
    version: int


def check_version(tx: Read, taken: Collection[int] | None, row: Versioned) -> None:
    """Raises PreconditionFailedError if the version is none of those that the caller would take. None: it doesn't care."""
    if taken is None or row.version in taken:
        return
    if not taken:
        raise PreconditionFailedError(
            f"the object is at version {row.version}, and `If-Match` names no version",
            remedy=f'Send the `ETag` that you have read, such as `"{row.version}"`.',
        )
    expected = max(taken)
    meanwhile = _since(tx, row, expected)
    errors = []
    for event in meanwhile:
        what = f"{event.actor} changed it at {event.at:%Y-%m-%d %H:%M:%SZ}"
        errors += [FieldProblem(field=field, message=what) for field in changed_fields(event.before, event.after)]
    said = [_in_words(event) for event in meanwhile]
    more = f"; and {row.version - expected - len(said)} more" if said and row.version - expected > len(said) else ""
    history = f": {'; '.join(said)}{more}" if said else ""
    raise PreconditionFailedError(
        f"the object is at version {row.version}, not {expected}{history}",
        remedy="Read it again, then send your change again.",
        errors=errors,
    )


def _since(tx: Read, row: Versioned, expected: int) -> list[EventRow]:
    """The newest changes after a version, oldest first; none if there can't have been one."""
    if not 0 < expected < row.version:
        return []
    of_row = select(EventRow).where(EventRow.object_id == row.id, ~col(EventRow.action).endswith(".created"))
    newest = tx.all(of_row.order_by(col(EventRow.seq).desc()).limit(min(row.version - expected, _AT_MOST)))
    return newest[::-1]


def _in_words(event: EventRow) -> str:
    fields = ", ".join(changed_fields(event.before, event.after))
    what = f"{event.actor} changed {fields}" if fields else f"{event.action} by {event.actor}"
    return f"{what} at {event.at:%Y-%m-%d %H:%M:%SZ} (event {event.seq})"


def changed_fields(before: Json, after: Json) -> list[str]:
    """The fields that differ, as an update names them: never a value. What only one of the two has isn't compared."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return []
    found = [field for name in sorted(before.keys() & after.keys() - set(_NO_FIELDS)) for field in _diff(name, before, after)]
    return found + [f"sensitive_inputs.{name}" for name in after.get("changed_sensitive_inputs", [])]


def _diff(at: str, before: dict[str, Json], after: dict[str, Json]) -> list[str]:
    name = at.rsplit(".", 1)[-1]
    was, now = _by_name(before.get(name)), _by_name(after.get(name))
    if was == now:
        return []
    if at.count(".") + 1 == _DEEP or not isinstance(was, dict) or not isinstance(now, dict):
        return [at]
    return [field for key in sorted(was.keys() | now.keys()) for field in _diff(f"{at}.{key}", was, now)]


def _by_name(value: Json) -> Json:
    """A list of things with names as a map, as the fields of problems have it."""
    if isinstance(value, list) and value and all(isinstance(one, dict) and "name" in one for one in value):
        return {one["name"]: one for one in value}
    return value
