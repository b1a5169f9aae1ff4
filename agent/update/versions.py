"""The versions of the agent on this machine, beside the one that was installed.

<home>/versions/<version>/        a virtual environment with the version's packages; what it lacks, the installed one has
<home>/versions/<version>.json    its artifact's digest, and the digest of each of its files
<home>/versions/current           a link to the version that is started; there is none while the installed one is
<home>/versions/state.json        see `agent.update.state`
<home>/versions/lock              held while that is changed: the agent, its supervisor and the customer's commands all do

Only the standard library is needed here.
"""

import fcntl
import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.durable import flush_folder, write_durably
from agent.update.state import BASE, State, dumps, loads

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Versions:
    """The versions of the agent whose folder is `home`. `base_python` starts the installed one. All methods block."""

    home: Path
    base_python: str = sys.executable

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.home / "versions"

    def prepare(self) -> None:
        """Make the folder, for this user alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read(self) -> State:
        """How far things are. Raises StateUnreadableError."""
        try:
            return loads((self.folder / "state.json").read_bytes())
        except FileNotFoundError:
            return State()

    def change(self, step: Callable[[State], State]) -> State:
        """Go a step further, durably; gives what is now. Raises StateUnreadableError."""
        with self.locked():
            before = self.read()
            after = step(before)
            if after != before:
                write_durably(self.folder / "state.json", dumps(after))
            return after

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes anything here meanwhile."""
        self.prepare()
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def root(self, target: str) -> Path:
        """A version's folder, there or not."""
        return self.folder / target

    def current(self) -> str:
        """Which version is started: a version's folder, or BASE."""
        try:
            return os.path.basename(os.readlink(self.folder / "current"))  # noqa: PTH115, PTH119 - a name, not a path
        except OSError:
            return BASE

    def point(self, target: str) -> None:
        """Have this version started from now on. After a crash the link leads to the old one or to the new one."""
        if self.current() == target:
            return
        link, aside = self.folder / "current", self.folder / "current.new"
        if target == BASE:
            link.unlink(missing_ok=True)
        else:
            aside.unlink(missing_ok=True)
            aside.symlink_to(target)
            aside.replace(link)
        flush_folder(self.folder)

    def command(self, target: str) -> list[str]:
        """How its `exclave` is started. It writes nothing into its own folder."""
        python = self.base_python if target == BASE else str(self.root(target) / "bin" / "python")
        return [python, *([] if target == BASE else ["-B"]), "-P", "-m", "api.cli"]

    def digest(self, target: str) -> str:
        """The artifact that a version is of; empty for BASE and for what isn't whole."""
        return "" if target == BASE else str(self._described(target).get("digest", ""))

    def describe(self, version: str, digest: str, folder: Path, needs: Sequence[Path] = ()) -> None:
        """Write down what a folder has, before it gets the version's name; `needs` are the packages that it falls back on."""
        described = {"version": version, "digest": digest, "needs": list(map(str, needs)), "files": _digests(folder)}
        write_durably(self.folder / f"{version}.json", json.dumps(described).encode())

    def problem(self, target: str) -> str:
        """Why a version can't be started, in words; empty if it can.

        Then its folder is the home's owner's, nobody else may write there, and each file is as it was verified.
        """
        if target == BASE:
            return ""
        root = self.root(target)
        try:
            owner = self.home.stat().st_uid
            for folder in (self.folder, root):
                found = folder.lstat()
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o022:
                    return f"{folder} isn't a folder that the agent's user alone may write to"
            described = self._described(target)
            if not described or _digests(root) != described["files"]:
                return f"the files in {root} aren't those that were verified"
            for needed in (root / "bin" / "python", *map(Path, described["needs"])):
                if not needed.exists():
                    return f"{needed}, which it was made with, is gone"
        except OSError as error:
            return f"{root} can't be read: {error.strerror}"
        return ""

    def there(self) -> list[str]:
        """The versions that lie here, by name."""
        return sorted(
            path.stem for path in self.folder.glob("*.json") if path.stem != "state" and self.root(path.stem).is_dir()
        )

    def prune(self, kept: set[str]) -> None:
        """Remove all versions but these."""
        for path in list(self.folder.glob("*.json")):
            if path.stem != "state" and path.stem not in kept:
                path.unlink()
        for path in list(self.folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def _described(self, target: str) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / f"{target}.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _digests(folder: Path) -> dict[str, str]:
    """What a folder has: the digest of each file and the goal of each link, by its path."""
    found: dict[str, str] = {}
    for where, folders, files in os.walk(folder):
        for name in (*files, *(each for each in folders if os.path.islink(os.path.join(where, each)))):  # noqa: PTH114, PTH118
            path = Path(where, name)
            relative = path.relative_to(folder).as_posix()
            found[relative] = f"-> {path.readlink()}" if path.is_symlink() else _sha256(path)
    return dict(sorted(found.items()))


def _sha256(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()
