"""`exclave installs connect` with a real IMS: what it makes, that the agent then comes, and what it says when it can't."""

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import ServerProcess
from unconnected import Run, fill

from api.cli.connection_kit import RECIPES, TOKEN_FILE, AgentSettings, targets

REGISTRY = {"url": "https://registry.example.com", "username": "exclave", "password": "registry-password"}
ROOT = Path(__file__).parents[2]
CLOUDS = {"aws": "install-agent-aws", "google": "install-agent-google"}
ENGINE = Path(__file__).with_name("stand_in_engine.py")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The stand-in for docker; yields its folder. What still runs in it at the end is killed."""
    state = tmp_path / "engine"
    state.mkdir()
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {ENGINE} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("CONTAINER_ENGINE", str(program))
    monkeypatch.setenv("STAND_IN_STATE", str(state))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    yield state
    for pid in state.glob("*.pid"):
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(int(pid.read_text()), signal.SIGKILL)


def made(run: Run, *arguments: str) -> dict[str, object]:
    """The answer of a `connect` that must succeed."""
    result = run("installs", "connect", *arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, object] = json.loads(result.stdout)
    return document


def start(folder: Path, script: str = "start.sh") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["sh", str(folder / script)], capture_output=True, text=True, timeout=240)


def rules_of_agents(engine: Path) -> list[str]:
    """Where the agents that run have their rules from."""
    found = []
    for pid in engine.glob("*.pid"):
        variables = Path(f"/proc/{pid.read_text()}/environ").read_text().split("\0")
        found += [each.removeprefix("EXCLAVE_POLICY=") for each in variables if each.startswith("EXCLAVE_POLICY=")]
    return found


@pytest.mark.parametrize(("target", "install"), [("container", "acme"), ("compose", "hooli_eu")])
def test_the_one_command_brings_the_agent_and_no_argument_has_the_token(
    run: Run, engine: Path, tmp_path: Path, target: str, install: str
) -> None:
    answer = made(run, install, "--target", target)
    folder = tmp_path / "vendor" / f"{install}-agent"
    assert (answer["folder"], answer["run"], answer["agent_id"]) == (str(folder), "sh start.sh", None)
    token = (folder / TOKEN_FILE).read_text().strip()
    assert token.startswith("exce_")
    assert token not in json.dumps(answer)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / TOKEN_FILE)] == [0o700, 0o600]

    without = start(folder)
    assert (without.returncode, "There is no registry.json here" in without.stderr) == (1, True), without.stderr
    (folder / "registry.json").write_text(json.dumps(REGISTRY))
    done = start(folder)
    assert done.returncode == 0, done.stderr
    assert not (folder / TOKEN_FILE).exists()
    calls = (engine / "calls").read_text()
    assert token not in calls
    assert REGISTRY["password"] not in calls

    waited = run("installs", "connect", install, "--wait")
    assert (waited.exit_code, "has signed in" in waited.output) == (0, True), waited.output
    (folder / "rules/policy.yaml").write_text("version: 1\n")
    again = start(folder)  # as after a newer image, or with new rules
    assert again.returncode == 0, again.stderr
    assert sorted(rules_of_agents(engine)) == [str(folder / "rules/policy.yaml")]
    assert run("installs", "connect", install, "--wait").exit_code == 0


def test_an_agent_that_does_not_come_is_told_with_what_to_look_at(run: Run) -> None:
    result = run("installs", "connect", "globex", "--target", "container", "--wait", "--wait-minutes", "0.001")
    assert result.exit_code == 1
    for part in ("No agent has enrolled for globex", "podman logs", "/healthz", "expires at"):
        assert part in result.stderr
    assert run("installs", "connect", "globex", "--wait", "--wait-minutes", "0.001").exit_code == 1


def test_a_token_that_expires_unused_ends_the_wait(run: Run, tmp_path: Path) -> None:
    settings = tmp_path / "exclave.toml"
    settings.write_text("[intervals]\nenrollment = 1\n")
    short = ServerProcess(tmp_path / "data", "--config", str(settings))
    try:
        fill(short)
        result = run("installs", "connect", "acme", "--target", "container", "--wait", at=short)
    finally:
        short.end(signal.SIGKILL)
    assert (result.exit_code, "The token has expired, and nobody used it" in result.stderr) == (1, True), result.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody", "--target", "container"], 4, "nobody"),
        (["initech", "--target", "mainframe"], 2, "'container'"),
        (["initech"], 2, "--target"),
        (["taken", "--target", "container"], 1, "exclave agents revoke agt_"),
        (["initech", "--target", "container", "--image", "bad image"], 1, "--image 'bad image'"),
        (["initech", "--target", "container", "--agent-url", "https://x.test/$(id)"], 1, "--agent-url"),
        (["initech", "--target", "systemd", "--package", "exclave; rm"], 1, "--package"),
        (["initech", "--target", "helm", "--allow-namespace", "Shop"], 1, "--allow-namespace 'Shop'"),
        (["initech", "--target", "container", "--output", "full"], 1, "--output full is there already"),
        (["initech", "--target", "container", "--registry-credentials", "full/file"], 1, "--registry-credentials"),
        (["initech", "--target", "aws", "--registry-credentials", "full/file"], 2, "leave --registry-credentials out"),
        (["initech", "--target", "compose", "--allow-namespace", "shop"], 2, "--allow-namespace is for"),
    ],
)
def test_wrong_input_is_told_and_makes_no_token(run: Run, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "vendor/full").mkdir()
    (tmp_path / "vendor/full/file").write_text("[]")
    before = run("events", "list", "--action", "enrollment.created", "--json").stdout
    result = run("installs", "connect", *arguments)
    assert (result.exit_code, said in result.stderr) == (code, True), result.output
    assert "Traceback" not in result.output
    assert run("events", "list", "--action", "enrollment.created", "--json").stdout == before
    assert sorted(path.name for path in (tmp_path / "vendor").rglob("*")) == ["file", "full"]


def test_an_install_with_an_agent_is_told_how_to_upgrade_it(run: Run) -> None:
    result = run("installs", "connect", "taken", "--target", "helm")
    assert "has an agent already" in result.stderr
    assert "To upgrade it" in result.stderr


@pytest.mark.parametrize("target", targets())
def test_no_file_but_the_token_has_the_token(run: Run, tmp_path: Path, target: str) -> None:
    registry = tmp_path / "writer.json"
    registry.write_text(json.dumps(REGISTRY))
    given = [] if RECIPES[target].own_registry else ["--registry-credentials", str(registry)]
    answer = made(run, "initech", "--target", target, "--output", "kit", *given)
    token = (tmp_path / "vendor/kit" / TOKEN_FILE).read_text().strip()
    files = [path for path in (tmp_path / "vendor/kit").rglob("*") if path.is_file()]
    assert sorted(path.relative_to(tmp_path / "vendor/kit").as_posix() for path in files) == answer["files"]
    assert [path.name for path in files if token in path.read_text()] == [TOKEN_FILE]
    readme = (tmp_path / "vendor/kit/README.md").read_text()
    assert f"    {answer['run']}\n" in readme
    assert not {"INSTALL", "NAMESPACE", "SHORT", "ADDRESS"} & set(readme.replace("`", " ").split())


def test_the_settings_say_where_the_agent_calls(run: Run, tmp_path: Path, server: ServerProcess) -> None:
    result = run("installs", "connect", "initech", "--target", "compose")
    assert "Warning: " in result.output
    more = [
        "--output",
        "kit",
        "--agent-url",
        "https://ims.example.com/",
        "--approval",
        "customer",
        "--image",
        "r.test/a@sha256:12",
    ]
    result = run("installs", "connect", "initech", "--target", "compose", *more)
    assert "Warning" not in result.output
    assert (tmp_path / "vendor/kit/agent.env").read_text().splitlines()[1:] == [
        "EXCLAVE_URL=https://ims.example.com",
        "EXCLAVE_AGENT_NAME=initech",
        "EXCLAVE_APPROVAL=customer",
        "EXCLAVE_IMAGE=r.test/a@sha256:12",
    ]
    assert f"EXCLAVE_URL={server.url}" in (tmp_path / "vendor/initech-agent/agent.env").read_text()


def test_a_cloud_gets_a_configuration_that_is_whole(run: Run, tmp_path: Path) -> None:
    for target, module in CLOUDS.items():
        answer = made(run, "initech", "--target", target, "--output", target, "--agent-url", "https://ims.example.com")
        folder = tmp_path / "vendor" / target
        assert not [name for name in answer["files"] if "tests/" in name or "examples/" in name]
        there = {path.name for path in (ROOT / "modules" / module).iterdir() if path.is_file()}
        assert {path.name for path in (folder / "agent").iterdir()} == there
        values = json.loads((folder / "install.auto.tfvars.json").read_text())
        assert values == {
            "name": "initech",
            "ims_url": "https://ims.example.com",
            "image": "exclave-agent:0.1.0",
            "environment": {},
        }
        declared = set(re.findall(r'^variable "(\w+)"', (folder / "main.tf").read_text(), re.M))
        assert set(values) < declared


def test_names_that_are_too_long_for_a_cloud_are_shortened_and_stay_apart() -> None:
    long = [AgentSettings(f"customer_with_a_long_name_{number}", "https://ims.example.com").short for number in (1, 2)]
    assert len(set(long)) == 2
    for name in (*long, AgentSettings("acme_eu", "https://ims.example.com").short):
        assert re.fullmatch(r"[a-z]([a-z0-9-]{0,14}[a-z0-9])?", name)
