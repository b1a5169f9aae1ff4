"""What the image runs, as a process of this machine: where the token comes from, and that nothing but the two files is kept."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

START_AGENT = Path(__file__).parents[2] / "deploy/agent/start-agent"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With a stand-in for `exclave`, which writes down what it is called with, and the token of its environment."""
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "exclave"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/called\nprintf %s "${{EXCLAVE_AGENT_TOKEN-none}}" > {tmp_path}/token\n'
    )
    program.chmod(0o755)
    (tmp_path / "given").mkdir()
    (tmp_path / "state").mkdir()
    return {
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "EXCLAVE_STATE": str(tmp_path / "state"),
        "EXCLAVE_GIVEN": str(tmp_path / "given"),
        "EXCLAVE_URL": "https://ims.example.com",
    }


def start(environment: dict[str, str], *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run([START_AGENT, *arguments], env=environment, input=given, capture_output=True, text=True)


def option(tmp_path: Path, name: str) -> str | None:
    words = (tmp_path / "called").read_text().splitlines()
    return words[words.index(name) + 1] if name in words else None


def test_without_an_address_it_says_so(environment: dict[str, str]) -> None:
    del environment["EXCLAVE_URL"]
    done = start(environment)
    assert (done.returncode != 0, "EXCLAVE_URL" in done.stderr) == (True, True)


def test_a_token_that_was_put_is_used_until_the_agent_has_enrolled(environment: dict[str, str], tmp_path: Path) -> None:
    assert start(environment, "put", "token", given="exce_1\n").returncode == 0
    kept = tmp_path / "state/token"
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("exce_1\n", 0o600)
    assert start(environment).returncode == 0
    assert option(tmp_path, "--token-file") == str(kept)
    (tmp_path / "state/home").mkdir()
    (tmp_path / "state/home/identity.json").write_text("{}")
    assert start(environment).returncode == 0
    assert (option(tmp_path, "--token-file"), kept.exists()) == (None, False)


def test_nothing_else_can_be_put(environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("home/identity.json", "../x", ""):
        assert start(environment, "put", name, given="x").returncode == 2
    assert list((tmp_path / "state").iterdir()) == []


def test_a_mounted_secret_comes_first(environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("token", "registry.json"):
        (tmp_path / "given" / name).write_text("x")
    assert start(environment).returncode == 0
    assert option(tmp_path, "--token-file") == str(tmp_path / "given/token")
    assert option(tmp_path, "--registry-credentials") == str(tmp_path / "given/registry.json")


def test_a_token_of_the_environment_loses_its_newline_and_is_forgotten_later(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment["EXCLAVE_AGENT_TOKEN"] = "exce_1\n"
    assert start(environment).returncode == 0
    assert (tmp_path / "token").read_text() == "exce_1"
    assert "exce_1" not in (tmp_path / "called").read_text()
    (tmp_path / "state/home").mkdir()
    (tmp_path / "state/home/identity.json").write_text("{}")
    assert start(environment).returncode == 0
    assert (tmp_path / "token").read_text() == "none"


def test_a_token_can_be_a_reference_that_the_agents_identity_resolves(environment: dict[str, str], tmp_path: Path) -> None:
    environment |= {"EXCLAVE_TOKEN_REFERENCE": "ref+env://EXCLAVE_SECRET_TOKEN", "EXCLAVE_SECRET_TOKEN": "exce_1"}
    done = start(environment)
    assert done.returncode == 0, done.stderr
    assert option(tmp_path, "--token-file") == str(tmp_path / "state/token")
    assert (tmp_path / "state/token").read_text() == "exce_1\n"
    environment["EXCLAVE_TOKEN_REFERENCE"] = "ref+env://EXCLAVE_SECRET_OTHER"
    failed = start(environment)
    assert (failed.returncode, "no EXCLAVE_SECRET_OTHER" in failed.stderr, "Traceback" in failed.stderr) == (1, True, False)


def test_the_registry_can_be_said_where_it_has_no_secret(environment: dict[str, str], tmp_path: Path) -> None:
    environment["EXCLAVE_REGISTRY"] = json.dumps({"kind": "aws_ecr", "url": "https://1.dkr.ecr.eu-west-1.amazonaws.com"})
    assert start(environment).returncode == 0
    written = option(tmp_path, "--registry-credentials")
    assert written
    assert json.loads(Path(written).read_text())["kind"] == "aws_ecr"


def test_settings_become_options(environment: dict[str, str], tmp_path: Path) -> None:
    assert start(environment | {"EXCLAVE_AGENT_NAME": "acme", "EXCLAVE_APPROVAL": "customer"}).returncode == 0
    assert (option(tmp_path, "--name"), option(tmp_path, "--approval")) == ("acme", "customer")
    assert start(environment, "agent", "--help").returncode == 0
    assert (tmp_path / "called").read_text() == "agent\n--help\n"
