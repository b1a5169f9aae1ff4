"""A mapping whose values are made when they are asked for: naming a provider's types must not cost making them."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

_T = TypeVar("_T")


class Lazy(Mapping[str, _T]):
    """Each value is made once, from its name's own maker, at the first access. Safe for many threads."""

    def __init__(self, makers: Mapping[str, Callable[[], _T]]) -> None:
        self._makers = makers
        self._made: dict[str, _T] = {}
        self._lock = threading.RLock()

    def __getitem__(self, name: str) -> _T:
        found = self._made.get(name)
        if found is None:
            with self._lock:
                found = self._made.get(name)
                if found is None:
                    found = self._made[name] = self._makers[name]()
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
