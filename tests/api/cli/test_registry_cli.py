"""`exclave registry gc` against a running server."""

import json
import signal
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from server_process import ServerProcess

from api.cli import exclave


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("cli") / "data")
    try:
        yield running
    finally:
        running.end(signal.SIGKILL)


def run(server: ServerProcess, *arguments: str, token: str = "") -> Result:
    env = {"EXCLAVE_URL": server.url, "EXCLAVE_TOKEN": token or (server.data / "admin.token").read_text().strip()}
    return CliRunner().invoke(exclave, ["registry", "gc", *arguments], env=env)


def test_the_ims_collects_in_its_own_registry_while_it_runs(server: ServerProcess) -> None:
    said = [run(server, "--dry-run"), run(server), run(server, "--json"), run(server, "--dry-run", "--json")]
    assert [result.exit_code for result in said] == [0] * len(said), [result.output for result in said]
    assert said[0].output == "Would remove 0 manifests and 0 blobs of 0 repositories, 0.0 MiB.\n"
    assert said[1].output == "Removed 0 manifests and 0 blobs of 0 repositories, 0.0 MiB.\n"
    assert [json.loads(result.output)["dry_run"] for result in said[2:]] == [False, True]


def test_a_stranger_collects_nothing(server: ServerProcess) -> None:
    assert run(server, token="exct_wrong").exit_code == 5


def test_a_registry_needs_its_folder() -> None:
    result = CliRunner().invoke(exclave, ["registry"])
    assert result.exit_code == 2
    assert "--data" in result.output
