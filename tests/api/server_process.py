"""An IMS as a process of its own: `exclave up`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
from ims_driver import Ims

_START_SECONDS = 240
_CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("EXCLAVE_")}


class ServerProcess:
    """A started server; `url` is where it answers. What it prints is in `output`."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self._url_file = data.with_name("url")
        self._printed = data.with_name("printed")
        with self._printed.open("w") as printed:
            command = [sys.executable, "-m", "api.cli", "up", "--no-build-agent", "--port", "0", "--data", str(data)]
            self.process = subprocess.Popen(
                [*command, *options, "--url-file", str(self._url_file)], stdout=printed, stderr=subprocess.STDOUT, env=_CLEAN
            )
        try:
            wait_for(lambda: self._url_file.exists() or self.process.poll() is not None)
            assert self.process.poll() is None, self.output
        except BaseException:
            self.end(signal.SIGKILL)
            raise
        self.url = self._url_file.read_text().strip()

    @property
    def output(self) -> str:
        """What the process has printed so far."""
        return self._printed.read_text()

    @property
    def token(self) -> str:
        """The admin token, as the file has it."""
        return (self.data / "admin.token").read_text().strip()

    def client(self, http: httpx.AsyncClient) -> Ims:
        """Calls to this server, signed in."""
        return Ims(None, http, lambda: datetime.now(UTC), None, self.token, self.data)  # type: ignore[arg-type]

    def end(self, by: signal.Signals) -> float:
        """End the process; how many seconds it took."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(by)
        self.process.wait(_START_SECONDS)
        self._url_file.unlink(missing_ok=True)
        return time.monotonic() - begun


def wait_for(condition: Callable[[], bool]) -> None:
    """Look again and again until a condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
