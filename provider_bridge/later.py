"""Modules that are loaded when something of them is first used, instead of when they are imported.

What the provider imports itself imports at the right time already. This is for what its dependencies import and a provider
never uses, such as what protobuf has for machines without its C library.
"""

import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

_lock = threading.RLock()


class _Later(ModuleType):
    """Stands for a module until something of it is asked for; from then on it has all that the module has.

    The standard library's `LazyLoader` doesn't do: it loads as soon as a second module imports the first.
    """

    def __getattr__(self, name: str) -> Any:
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
            loaded = import_module(self.__name__)
        self.__dict__.update(loaded.__dict__)
        return getattr(loaded, name)


def load_later(*names: str) -> None:
    """Have each of these modules loaded at its first use. What is loaded already stays so."""
    for name in names:
        if name not in sys.modules:
            sys.modules[name] = _Later(name)
