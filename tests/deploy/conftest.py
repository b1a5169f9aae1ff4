import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from server_process import ServerProcess
from unconnected import Run, fill

from api.cli import exclave


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("connect") / "data")
    try:
        fill(running)
        yield running
    finally:
        running.end(signal.SIGKILL)


@pytest.fixture
def run(server: ServerProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command of the vendor, signed in, in a folder of its own."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("EXCLAVE_URL", "EXCLAVE_TOKEN", "EXCLAVE_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str, at: ServerProcess = server) -> Result:
        env = {"EXCLAVE_URL": at.url, "EXCLAVE_TOKEN_FILE": str(at.data / "admin.token")}
        return CliRunner().invoke(exclave, arguments, env=env)

    return call
