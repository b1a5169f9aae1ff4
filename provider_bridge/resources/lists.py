"""Whole collections of the API, read with one request for many objects: a plan of 1,000 components refreshes each of them."""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from provider_bridge.problems import Json

if TYPE_CHECKING:
    from provider_bridge.client import Client

_PAGE = 1000


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked: set[str] = set()
        self.found: dict[str, Json] | None = None


class Lists:
    """A cache that lives until the first write. Many threads ask at once; one of them reads and the others wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[tuple[str, ...], _Slot] = {}

    def all_of(self, client: "Client", path: tuple[str, ...], **query: str) -> dict[str, Json]:
        """The objects of a collection by id. Raises what the client raises."""
        slot = self._slot(path, query)
        with slot.lock:
            if slot.found is None:
                slot.found = {each["id"]: each for each in all_pages(client, path, query)}
            return slot.found

    def one_of(self, client: "Client", path: tuple[str, ...], object_id: str, **query: str) -> Json | None:
        """One object of a collection, or None if it isn't there.

        The first is asked for alone, as a run may need no other of a long list; with the second, all are read at once.
        """
        slot = self._slot(path, query)
        with slot.lock:
            alone = slot.found is None and slot.asked <= {object_id}
            slot.asked.add(object_id)
        return client.get(*path, object_id) if alone else self.all_of(client, path, **query).get(object_id)

    def forget(self) -> None:
        """Something was written: read everything anew. A read that is under way is used by those who wait for it already."""
        with self._lock:
            self._slots = {}

    def _slot(self, path: tuple[str, ...], query: dict[str, str]) -> _Slot:
        with self._lock:
            return self._slots.setdefault((*path, *(part for pair in sorted(query.items()) for part in pair)), _Slot())


def all_pages(client: "Client", path: Sequence[str], query: Mapping[str, str], *, at_most: int | None = None) -> list[Json]:
    """The objects of a collection, oldest first, from as many pages as it has; at most so many."""
    found: list[Json] = []
    more: dict[str, str] = {}
    while True:
        limit = _PAGE if at_most is None else max(1, min(_PAGE, at_most - len(found)))
        page = client.get(*path, limit=limit, **query, **more)
        found += page["items"]
        if page["after"] is None or (at_most is not None and len(found) >= at_most):
            return found
        more = {"after": page["after"]}
