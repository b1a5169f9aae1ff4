"""`exclave secrets` against a running server."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from server_process import ServerProcess

from api.cli import exclave

CANARY = "canary-cli-5b1f"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("cli") / "data")
    try:
        yield running
    finally:
        running.end(signal.SIGKILL)


def run(server: ServerProcess, *arguments: str, stdin: str = "") -> Result:
    env = {"EXCLAVE_URL": server.url, "EXCLAVE_TOKEN_FILE": str(server.data / "admin.token")}
    return CliRunner().invoke(exclave, ["secrets", *arguments], env=env, input=stdin)


def test_a_secret_comes_from_stdin_or_a_file_is_never_shown_and_rotates(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "value").write_text(CANARY)
    shown = [
        run(server, "set", "license", stdin=CANARY + "\n"),
        run(server, "set", "license", "--from-file", str(tmp_path / "value"), "--json"),
        run(server, "set", "license", stdin=CANARY + "2"),
        run(server, "list"),
        run(server, "rotate"),
        run(server, "rotate", "--json"),
        run(server, "delete", "license"),
        run(server, "list"),
    ]
    assert [result.exit_code for result in shown] == [0] * len(shown), [result.output for result in shown]
    assert CANARY not in "".join(result.output for result in shown)
    assert json.loads(shown[1].output)["version"] == 1, "stdin's last line end is no part of the value"
    assert "is at version 2" in shown[2].output
    assert "license" in shown[3].output
    assert "All 1 values are sealed with the data key dek_" in shown[4].output
    assert json.loads(shown[5].output)["done"] is True
    assert "No secrets yet" in shown[7].output


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "says"),
    [
        (["set", "x"], "", 1, "the value is empty"),
        (["set", "x", "value"], "", 2, "unexpected extra argument"),
        (["set", "x", "--from-file", "/no/such"], "", 1, "can't be read"),
        (["set", "x", "--app", "nope"], "v", 1, "there is no app 'nope'"),
        (["set", "x", "--app", "a", "--install", "b"], "v", 2, "not both"),
        (["delete", "nope"], "", 4, "there is no secret 'nope'"),
        (["rotate", "--to", "file:/x"], "", 2, "give its folder with --data"),
        (["rotate", "--data", "/no/such"], "", 1, "has no database"),
    ],
)
def test_errors_are_plain_words(server: ServerProcess, arguments: list[str], stdin: str, code: int, says: str) -> None:
    result = run(server, *arguments, stdin=stdin)
    assert (result.exit_code, says in result.output) == (code, True), result.output


def test_the_folder_of_a_running_ims_is_left_alone(server: ServerProcess) -> None:
    result = run(server, "rotate", "--data", str(server.data))
    assert (result.exit_code, "serves" in result.output) == (1, True), result.output
