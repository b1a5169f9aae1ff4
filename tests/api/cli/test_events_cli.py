"""`exclave events`: an export that verifies without a server, and a stream that is followed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from server_process import ServerProcess

from api.cli import exclave


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("cli") / "data")
    try:
        asyncio.run(fill(running))
        yield running
    finally:
        running.end(signal.SIGKILL)


async def fill(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        for name in ("one", "two", "three"):
            await server.client(http).ok("POST", "/v1/apps", {"name": name})


def environment(server: ServerProcess) -> dict[str, str]:
    return {"EXCLAVE_URL": server.url, "EXCLAVE_TOKEN_FILE": str(server.data / "admin.token")}


def call(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(exclave, arguments, env=env or {"EXCLAVE_URL": "", "EXCLAVE_TOKEN": "", "EXCLAVE_TOKEN_FILE": ""})


@pytest.fixture
def exported(server: ServerProcess, tmp_path: Path) -> Path:
    file = tmp_path / "events.jsonl"
    result = call("events", "export", "--output", str(file), env=environment(server))
    assert (result.exit_code, "4 events are in" in result.output) == (0, True), result.output
    assert list(tmp_path.iterdir()) == [file]
    return file


def rewrite(file: Path, change: Any) -> None:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(line) + "\n" for line in change(lines)))


def test_an_export_verifies_without_a_server(exported: Path) -> None:
    result = call("events", "verify", str(exported), "--json")
    last = json.loads(exported.read_text().splitlines()[-1])
    expected = {"whole": True, "broken_at": None, "lines": 4, "pruned": 0, "last_hash": last["hash"]}
    assert (result.exit_code, json.loads(result.output)) == (0, expected)


def test_an_export_that_begins_in_the_middle_verifies_too(server: ServerProcess, exported: Path) -> None:
    result = call("events", "export", "--after", "2", env=environment(server))
    exported.write_text(result.stdout)
    assert call("events", "verify", str(exported)).exit_code == 0
    rewrite(exported, lambda lines: [lines[0], {**lines[1], "actor": "token:mallory"}])
    result = call("events", "verify", str(exported))
    assert (result.exit_code, "broken at line 4" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("change", "broken_at"),
    [
        (lambda lines: [lines[0], {**lines[1], "after": None}, *lines[2:]], 2),
        (lambda lines: [lines[0], *lines[2:]], 3),
        (lambda lines: [{**lines[0], "previous_hash": "1" * 64}, *lines[1:]], 1),
    ],
)
def test_the_first_broken_line_is_named(exported: Path, change: Any, broken_at: int) -> None:
    rewrite(exported, change)
    result = call("events", "verify", str(exported))
    assert (result.exit_code, f"broken at line {broken_at}:" in result.output) == (1, True), result.output


@pytest.mark.parametrize("text", ["", "{}\n", "nonsense\n"])
def test_a_file_that_is_no_export_is_refused_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    result = call("events", "verify", str(tmp_path / "file"))
    assert (result.exit_code, "Error:" in result.output) == (1, True)


def test_an_export_that_is_refused_leaves_no_file(server: ServerProcess, tmp_path: Path) -> None:
    file = str(tmp_path / "events.jsonl")
    assert call("events", "export", "--install", "nobody", "--output", file, env=environment(server)).exit_code == 4
    assert list(tmp_path.iterdir()) == []
    assert call("events", "export", "--output", "/nowhere/events.jsonl", env=environment(server)).exit_code == 1


def test_follow_prints_events_as_they_happen(server: ServerProcess) -> None:
    command = [sys.executable, "-P", "-m", "api.cli", "events", "follow", "--after", "1", "--action", "app.*", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment(server)}, text=True) as process:
        assert process.stdout
        names = [json.loads(process.stdout.readline())["after"]["name"] for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert (names, process.wait(60)) == (["one", "two", "three"], 0)


@pytest.mark.parametrize(
    ("filters", "remedy"),
    [(["--action", "deploy"], "`deploy.*`"), (["--since", "yesterday"], "such as 2026-11-21T09:00:00Z")],
)
def test_a_filter_that_can_not_be_read_is_refused_with_what_would_do(
    server: ServerProcess, filters: list[str], remedy: str
) -> None:
    result = call("events", "list", *filters, env=environment(server))
    assert (result.exit_code, remedy in result.stderr, "^" in result.stderr) == (1, True, False), result.stderr
