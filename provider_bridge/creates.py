"""Which creates were begun in this Terraform folder, and under which key: for the run after one that was killed.

A process that is killed between its request and Terraform's note of the answer leaves an object that no state knows. The next
run, in another process, sends the request again under the key that it finds here, and the IMS answers as it did the first time.
The files are beside what `terraform init` writes. Where they are lost, the IMS says that the name is taken; an import helps.

Each process has a file of its own, which it keeps locked while it lives: a run has several (one for each alias, or workspace),
and what those that live have begun is theirs. What reads or changes the files of others has the folder locked meanwhile.
"""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_PREFIX, _SUFFIX = "exclave-creates-", ".jsonl"
_KEPT_SECONDS = 86_400
"""Less than the IMS keeps its answers, from the last create on."""


@dataclass
class _Left:
    """What a process that is gone has left in its file."""

    begun: dict[str, str]
    """What was to be made, by the key of the request. Several may have been to make the same."""
    is_spent: bool
    """Whether an apply since has ended well: what of it nobody has taken up by the end of the run, the state knew."""


class Creates:
    """The creates of one folder that no state may know. Safe for many threads, and for other processes in the folder.

    Those that this run begins count for later runs only, and each counts once: two resources of one name in one run are two
    requests, of which the IMS refuses one. A run that ends well, with `close`, leaves only what was never answered.
    """

    def __init__(self, environment: Mapping[str, str], url: str) -> None:
        self._folder = os.path.abspath(environment.get("TF_DATA_DIR") or ".terraform")  # noqa: PTH100 - pathlib costs start time
        self._of = (url, environment.get("TF_WORKSPACE") or _read(f"{self._folder}/environment"))
        self._name = f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"
        self._file: int | None = None
        self._lock = threading.Lock()
        self._begun: dict[str, str] = {}
        self._creates = False
        with self._alone():
            left, _ = self._others()
            self._earlier = {key: what for each in left.values() for key, what in each.begun.items()}
            if self._earlier:
                self._open()  # so that no other process throws them away before this one ends

    def begun(self, parts: tuple[str, ...], name: str) -> bool:
        """Whether an earlier run has begun to make an object of this name in this collection."""
        return self._what(parts, name) in self._earlier.values()

    def take(self, parts: tuple[str, ...], name: str) -> str | None:
        """The key of that request, the first time that any process of this run asks for it. From then on it is this one's."""
        what = self._what(parts, name)
        with self._lock, self._alone():
            if what not in self._earlier.values():
                return None
            for path, each in self._others()[0].items():
                for key in [key for key, made in each.begun.items() if made == what and key in self._earlier]:
                    self._append(_lines({key: what}))
                    del self._earlier[key], each.begun[key]
                    _write(path, each.begun, is_spent=each.is_spent)
                    return key
            return None

    def note(self, parts: tuple[str, ...], name: str, key: str) -> None:
        """Remember a request that is about to be sent. Where nothing can be written, it is remembered in vain."""
        what = self._what(parts, name)
        with self._lock:
            self._creates = True
            self._begun[key] = what
            self._append(_lines({key: what}))

    def answered(self, key: str) -> None:
        """There is an answer. Terraform notes it only after this process has handed it on, so the file stays as it is."""
        with self._lock:
            self._begun.pop(key, None)

    def refused(self, key: str) -> None:
        """The answer is that nothing was made."""
        with self._lock:
            self._begun.pop(key, None)
            self._append(b"\n" + json.dumps({"gone": key}).encode())

    def close(self) -> None:
        """Terraform has noted every answer. What an apply hasn't taken up, its state knew; a plan takes up nothing.

        Another process of the run, which goes on, may still take up what this one hasn't: the last one to end clears it away.
        """
        with self._lock, self._alone():
            left, others_live = self._others()
            for path, each in left.items():
                each.is_spent = each.is_spent or self._creates
                _write(path, {} if each.is_spent and not others_live else each.begun, is_spent=each.is_spent)
            if self._file is not None:
                _write(f"{self._folder}/{self._name}", self._begun)
            self._let_go()

    def _append(self, lines: bytes) -> None:
        if self._file is None:
            self._open()
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.write(self._file, lines)

    def _let_go(self) -> None:
        """What the end of the process does, too."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> None:
        """Make this process's file. Others see it only once it is locked."""
        path = f"{self._folder}/{self._name}"
        with contextlib.suppress(OSError):
            file = os.open(f"{path}.new", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            with contextlib.suppress(OSError):  # where there are no locks, processes of one run aren't told apart
                fcntl.flock(file, fcntl.LOCK_EX)
            os.rename(f"{path}.new", path)  # noqa: PTH104
            self._file = file

    def _others(self) -> tuple[dict[str, _Left], bool]:
        """What those that are gone have left, by the path of the file, and whether another process lives in this folder."""
        left, others_live = {}, False
        try:
            names = sorted(os.listdir(self._folder))  # noqa: PTH208
        except OSError:
            names = []
        for name in names:
            if not name.startswith(_PREFIX) or not name.endswith(_SUFFIX) or name == self._name:
                continue
            path = f"{self._folder}/{name}"
            if _is_locked(path):
                others_live = True
            elif _is_old(path):
                _write(path, {})
            else:
                left[path] = _load(path)
        return left, others_live

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Have no other process read or change what processes that are gone have left. Where there are no locks, hope."""
        try:
            folder = os.open(self._folder, os.O_RDONLY)
        except OSError:
            yield
            return
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _what(self, parts: tuple[str, ...], name: str) -> str:
        return json.dumps([*self._of, *parts, name])


def _is_locked(path: str) -> bool:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(file)
    return False


def _is_old(path: str) -> bool:
    try:
        return time.time() - os.stat(path).st_mtime > _KEPT_SECONDS  # noqa: PTH116
    except OSError:
        return True


def _load(path: str) -> _Left:
    left = _Left({}, is_spent=False)
    for line in _read(path).splitlines():
        try:
            noted = json.loads(line)
            if noted.get("spent"):
                left.is_spent = True
            elif "gone" in noted:
                left.begun.pop(noted["gone"], None)
            else:
                left.begun[noted["key"]] = noted["what"]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # the disk was full, or a power cut came in the middle of it
    return left


def _write(path: str, begun: Mapping[str, str], *, is_spent: bool = False) -> None:
    """Have the file of a process that is gone, or goes, say this; if it is nothing, it goes, too. The time on it stays."""
    with contextlib.suppress(OSError):
        if not begun:
            os.unlink(path)  # noqa: PTH108
            return
        times = os.stat(path)  # noqa: PTH116
        draft = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(draft, (b'{"spent": true}' if is_spent else b"") + _lines(begun))
        finally:
            os.close(draft)
        os.utime(f"{path}.new", ns=(times.st_atime_ns, times.st_mtime_ns))
        os.rename(f"{path}.new", path)  # noqa: PTH104


def _lines(begun: Mapping[str, str]) -> bytes:
    # The end of the line comes first: the last one may have been cut by a kill.
    return "".join("\n" + json.dumps({"what": what, "key": key}) for key, what in begun.items()).encode()


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""
