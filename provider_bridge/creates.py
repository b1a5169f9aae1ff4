"""Which creates were begun in this Terraform folder, and under which key: for the run after one that was killed.

A process that is killed between its request and Terraform's note of the answer leaves an object that no state knows. The next
run, in another process, sends the request again under the key that it finds here, and the IMS answers as it did the first time.
The file is beside what `terraform init` writes; where it is lost, the IMS says that the name is taken, and an import helps.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Mapping

_FILE = "exclave-creates.jsonl"
_KEPT_SECONDS = 86_400
"""Less than the IMS keeps its answers, from the last create on."""


class Creates:
    """The creates of one folder that no state may know. Safe for many threads.

    Those that this run begins count for later runs only, and each counts once: two resources of one name in one run are two
    requests, of which the IMS refuses one. A run that ends well, with `close`, leaves only what was never answered.
    """

    def __init__(self, environment: Mapping[str, str], url: str) -> None:
        folder = os.path.abspath(environment.get("TF_DATA_DIR") or ".terraform")  # noqa: PTH100 - pathlib costs start time
        self._of = (url, environment.get("TF_WORKSPACE") or _read(f"{folder}/environment"))
        self._path = f"{folder}/{_FILE}"
        self._lock = threading.Lock()
        self._earlier = self._load()
        self._begun: dict[str, str] = {}
        self._creates = False

    def begun(self, parts: tuple[str, ...], name: str) -> bool:
        """Whether an earlier run has begun to make an object of this name in this collection."""
        return self._what(parts, name) in self._earlier

    def take(self, parts: tuple[str, ...], name: str) -> str | None:
        """The key of that request, the first time that it is asked for."""
        with self._lock:
            return self._earlier.pop(self._what(parts, name), None)

    def note(self, parts: tuple[str, ...], name: str, key: str) -> None:
        """Remember a request that is about to be sent. Where nothing can be written, it is remembered in vain."""
        what = self._what(parts, name)
        with self._lock:
            self._creates = True
            self._begun[what] = key
            self._append({what: key})

    def answered(self, parts: tuple[str, ...], name: str) -> None:
        """There is an answer. Terraform notes it only after this process has handed it on, so the file stays as it is."""
        with self._lock:
            self._begun.pop(self._what(parts, name), None)

    def close(self) -> None:
        """Terraform has noted every answer. What an apply hasn't taken up, its state knew; a plan takes up nothing."""
        with self._lock, contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108
            self._append(self._begun if self._creates else {**self._earlier, **self._begun})

    def _append(self, keys: Mapping[str, str]) -> None:
        # The end of the line comes first: the last one may have been cut by a kill.
        lines = "".join("\n" + json.dumps({"what": what, "key": key}) for what, key in keys.items())
        with contextlib.suppress(OSError):
            if lines:
                file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    os.write(file, lines.encode())
                finally:
                    os.close(file)

    def _what(self, parts: tuple[str, ...], name: str) -> str:
        return json.dumps([*self._of, *parts, name])

    def _load(self) -> dict[str, str]:
        try:
            if time.time() - os.stat(self._path).st_mtime > _KEPT_SECONDS:  # noqa: PTH116
                os.unlink(self._path)  # noqa: PTH108
        except OSError:
            return {}
        found = {}
        for line in _read(self._path).splitlines():
            try:
                noted = json.loads(line)
                found[noted["what"]] = noted["key"]
            except (ValueError, KeyError, TypeError):
                continue  # the disk was full, or a power cut came in the middle of it
        return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""
