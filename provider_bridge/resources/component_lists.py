"""Each app's components, read with one request for all: a plan of 1,000 components refreshes each of them."""

import threading
from collections.abc import Callable

from provider_bridge.problems import Json

_PAGE = 1000

Fetch = Callable[[str, str | None], Json]
"""Reads one page of an app's components: the app, the cursor."""


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.components: dict[str, Json] | None = None


class ComponentLists:
    """A cache that lives until the first write. Many threads ask at once; one of them reads and the others wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[str, _Slot] = {}

    def of_app(self, app: str, fetch: Fetch) -> dict[str, Json]:
        """The app's components by id. Raises what `fetch` raises."""
        with self._lock:
            slot = self._slots.setdefault(app, _Slot())
        with slot.lock:
            if slot.components is None:
                slot.components = _all_pages(app, fetch)
            return slot.components

    def forget(self) -> None:
        """Something was written: read everything anew. A read that is under way is used by those who wait for it already."""
        with self._lock:
            self._slots = {}


def _all_pages(app: str, fetch: Fetch) -> dict[str, Json]:
    components: dict[str, Json] = {}
    cursor = None
    while True:
        page = fetch(app, cursor)
        components.update((component["id"], component) for component in page["items"])
        cursor = page["after"]
        if cursor is None:
            return components
