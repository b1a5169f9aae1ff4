"""Files in the home of an agent that runs: what goes away while somebody looks is left out, and no error.

Python 3.11's own `glob` and `rglob` raise FileNotFoundError for a folder that vanishes under them.
"""

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path


def matching(folder: Path, pattern: str) -> Iterator[Path]:
    """What `folder` has by a pattern such as `components/*/outputs.json`, sorted at each level."""
    first, _, rest = pattern.partition("/")
    for name in fnmatch.filter(_names(folder), first):
        if rest:
            yield from matching(folder / name, rest)
        else:
            yield folder / name


def all_below(folder: Path) -> Iterator[Path]:
    """Every file and folder in `folder`, whatever their depth. Links aren't followed."""
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(where, name)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths
    except OSError:
        return []
