import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from agent_protocol_server import TOKEN, agent_protocol_server
from click.testing import CliRunner, Result

from agent.cli import agent_command, terraform_command
from agent.engine.find import EngineNotFoundError, find_engine


@pytest.fixture
def writer(tmp_path: Path) -> Path:
    path = tmp_path / "writer.json"
    path.write_text(json.dumps({"url": "http://127.0.0.1:1", "username": "writer", "password": "secret"}))
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(agent_command, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "--url", "ims.test", "--home", "{home}"], ["--url", "'ims.test'", "https://"]),
        (
            ["build", "--url", "http://127.0.0.1:1", "--home", "{home}"],
            ["isn't enrolled", "--token-file", "exclave agents enroll"],
        ),
        (
            ["build", "--url", "http://127.0.0.1:1", "--home", "{home}", "--token-file", "{home}/none"],
            ["--token-file", "none", "No such file"],
        ),
        (
            ["build", "--url", "http://127.0.0.1:1", "--home", "{home}", "--token-file", sys.executable],
            ["--token-file", "it isn't plain text", "Give the file that has the enrolment token"],
        ),
        (
            ["install", "--url", "http://127.0.0.1:1", "--home", "{home}", "--registry-credentials", "{home}/none"],
            ["--registry-credentials", "none", "writer.json"],
        ),
        (
            ["build", "--url", "http://127.0.0.1:1", "--home", "{home}", "--engine", "/none"],
            ["--engine /none", "not a program"],
        ),
    ],
)
def test_bad_input_names_the_option_the_value_and_the_remedy(arguments: list[str], said: list[str], tmp_path: Path) -> None:
    result = run(*(argument.format(home=tmp_path / "home") for argument in arguments))
    assert result.exit_code == 1
    for part in said:
        assert part in result.output
    assert "Traceback" not in result.output


def test_a_registry_file_with_something_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "writer.json").write_text('{"url": "http://x"}')
    result = run("install", "--url", "http://x", "--home", tmp_path, "--registry-credentials", tmp_path / "writer.json")
    assert result.exit_code == 1
    assert "--registry-credentials" in result.output


@pytest.mark.anyio
async def test_an_agent_enrols_waits_and_stops_when_told_to(tmp_path: Path, writer: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    command = [sys.executable, "-c", "from agent.cli import agent_command; agent_command()", "install"]
    command += ["--home", str(tmp_path / "home"), "--registry-credentials", str(writer)]
    async with agent_protocol_server() as ims:
        for token in (["--token-file", str(tmp_path / "token")], []):
            ims.leases = 0
            agent = await asyncio.create_subprocess_exec(
                *command, "--url", ims.url, *token, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            await ims.until(lambda: ims.leases > 0)
            assert ims.health.pop().jobs == 0
            agent.send_signal(signal.SIGTERM)
            said, complained = await agent.communicate()
            assert agent.returncode == 0, complained
            assert b"The agent has stopped." in said
            assert TOKEN.encode() not in said + complained
        (tmp_path / "token").unlink()
        other = [*command[:3], "build", *command[4:6], "--url", ims.url]
        refused = await asyncio.create_subprocess_exec(*other, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _, complained = await refused.communicate()
        assert refused.returncode == 1
        assert b"belongs to an agent of the kind install" in complained
    open_to_others = [path for path in (tmp_path / "home").rglob("*") if path.stat().st_mode & 0o077]
    assert open_to_others == []


def test_terraform_runs_the_engine_that_was_found() -> None:
    try:
        engine = find_engine(None, os.environ)
    except EngineNotFoundError as error:
        pytest.skip(str(error))
    ran = subprocess.run(
        [sys.executable, "-c", "from agent.cli import terraform_command; terraform_command()", "--", "version", "-json"],
        env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull},
        capture_output=True,
        check=True,
    )
    assert json.loads(ran.stdout)["terraform_version"] == engine.version


def test_without_an_engine_terraform_says_how_to_get_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(terraform_command, ["version"], env={"EXCLAVE_ENGINE": str(tmp_path / "none")})
    assert result.exit_code == 1
    assert "exclave[terraform]" in result.output


@pytest.mark.anyio
async def test_a_token_comes_from_standard_input_or_with_a_warning_from_the_command_line(tmp_path: Path, writer: Path) -> None:
    command = [sys.executable, "-c", "from agent.cli import agent_command; agent_command()", "install", "--once"]
    command += ["--registry-credentials", str(writer)]
    async with agent_protocol_server() as ims:
        for number, (token, typed, warned) in enumerate(
            [(["--token-file", "-"], TOKEN, False), (["--token", TOKEN], "", True)]
        ):
            ims.public_key = None
            agent = await asyncio.create_subprocess_exec(
                *command,
                *["--url", ims.url, "--home", str(tmp_path / f"home{number}"), *token],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            _, complained = await agent.communicate(f"{typed}\n".encode())
            assert agent.returncode == 0, complained
            assert (b"Warning: --token can be seen" in complained) == warned
    both = run("build", "--url", "http://x", "--home", tmp_path / "h", "--token-file", "-", "--stop-with-stdin")
    assert (both.exit_code, "both read standard input" in both.output) == (2, True)
