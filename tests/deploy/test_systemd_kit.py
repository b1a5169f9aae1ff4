"""The systemd unit and its install script: systemd's own judgement, the script in another root, and the unit's own command."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from server_process import ServerProcess
from unconnected import Run

SYSTEMD = Path(__file__).parents[2] / "deploy/agent/systemd"
UNIT = SYSTEMD / "exclave-agent.service"


def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True)


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/exclave-agent/bin/exclave", sys.executable))
    done = analyze("verify", "--man=no", unit)
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, complaints) == (0, []), done.stderr
    unit.write_text(unit.read_text().replace("ProtectClock=yes", "ProtectClocks=yes"))
    assert "ProtectClocks" in analyze("verify", "--man=no", unit).stderr


def test_systemd_rates_the_unit_as_closed() -> None:
    done = analyze("security", "--offline=true", "--threshold=28", UNIT)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to install into, with stand-ins for systemctl and for the Python that makes the environment."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {
        "systemctl": f'echo "$@" >> {tmp_path}/systemctl\n[ "$1" != --version ] || echo "systemd 252 (252.38)"\n',
        "python": f'[ "$2" != venv ] || {{ mkdir -p "$3/bin" && cp {programs}/pip "$3/bin/python"; }}\n',
        "pip": f'echo "$@" >> {tmp_path}/pip\ncase "$*" in *broken*) exit 1 ;; esac\ncp "$0" "$(dirname "$0")/exclave"\n',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHON", str(programs / "python"))
    folder = tmp_path / "root"
    (folder / "opt").mkdir(parents=True)
    monkeypatch.setenv("EXCLAVE_ROOT", str(folder))
    return folder


def install(kit: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["sh", str(kit / "install.sh")], capture_output=True, text=True)


def test_the_script_installs_and_the_units_command_brings_the_agent(
    run: Run, root: Path, tmp_path: Path, server: ServerProcess
) -> None:
    assert run("installs", "connect", "umbrella", "--target", "systemd", "--output", "kit").exit_code == 0
    kit, settings = tmp_path / "vendor/kit", root / "etc/exclave-agent"
    token = (kit / "token").read_text()
    refused = install(kit)
    assert (refused.returncode, "no registry.json" in refused.stderr, settings.exists()) == (1, True, False)
    (kit / "registry.json").write_text(json.dumps({"url": "https://r.test", "username": "u", "password": "p"}))
    done = install(kit)
    assert done.returncode == 0, done.stderr
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in settings.iterdir()} == {
        "agent.env": 0o600,
        "registry.json": 0o600,
        "rules": 0o755,
        "rules.env": 0o600,
        "token": 0o600,
    }
    assert (settings / "rules.env").read_text() == ""
    assert (tmp_path / "pip").read_text() == "-m pip install --quiet exclave[aws,gcp]==0.1.0\n"
    assert "restart exclave-agent" in (tmp_path / "systemctl").read_text()
    assert not (kit / "token").exists()
    assert token == (settings / "token").read_text()

    unit = (root / "etc/systemd/system/exclave-agent.service").read_text()
    found = re.search(r"^ExecStart=(.*)$", unit, re.M)
    assert found
    started = dict(line.split("=", 1) for line in (settings / "agent.env").read_text().splitlines()[1:])
    command = found[1].replace("/opt/exclave-agent/bin/exclave", f"{sys.executable} -m api.cli")
    for text, value in {"%S": str(tmp_path), "%d": str(settings), **{f"${{{k}}}": v for k, v in started.items()}}.items():
        command = command.replace(text, value)
    agent = subprocess.Popen(command.split(), env={**os.environ, **started}, stdout=subprocess.DEVNULL)
    try:
        waited = run("installs", "connect", "umbrella", "--wait")
    finally:
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    assert (waited.exit_code, "has signed in" in waited.output) == (0, True), waited.output
    assert started["EXCLAVE_URL"] == server.url


def test_the_customers_rules_are_where_the_service_can_only_read_them(run: Run, root: Path, tmp_path: Path) -> None:
    assert run("installs", "connect", "initech", "--target", "systemd", "--output", "kit").exit_code == 0
    kit, settings = tmp_path / "vendor/kit", root / "etc/exclave-agent"
    (kit / "registry.json").write_text(json.dumps({"url": "https://r.test", "username": "u", "password": "p"}))
    (kit / "rules/policy.yaml").write_text("version: 1\n")
    assert install(kit).returncode == 0
    assert (settings / "rules.env").read_text() == "EXCLAVE_POLICY=/run/exclave-agent-rules/policy.yaml\n"
    assert (settings / "rules/policy.yaml").stat().st_mode & 0o777 == 0o644
    assert "BindReadOnlyPaths=-/etc/exclave-agent/rules:/run/exclave-agent-rules\n" in UNIT.read_text()
    (kit / "rules/policy.yaml").unlink()
    assert install(kit).returncode == 0
    assert ((settings / "rules.env").read_text(), (settings / "rules/policy.yaml").exists()) == ("", False)


def test_an_upgrade_that_fails_leaves_what_runs_alone(run: Run, root: Path, tmp_path: Path) -> None:
    registry = tmp_path / "writer.json"
    registry.write_text('{"url": "https://r.test", "username": "u", "password": "p"}')
    more = ["--output", "kit", "--registry-credentials", str(registry)]
    assert run("installs", "connect", "initech", "--target", "systemd", *more).exit_code == 0
    kit = tmp_path / "vendor/kit"
    assert install(kit).returncode == 0
    first = (root / "opt/exclave-agent").readlink()
    settings = (kit / "agent.env").read_text()
    (kit / "agent.env").write_text(settings.replace("==0.1.0", "==broken"))
    failed = install(kit)
    assert (failed.returncode, "EXCLAVE_PACKAGE=exclave[aws,gcp]==broken" in failed.stderr) == (1, True), failed.stderr
    assert (root / "opt/exclave-agent").readlink() == first
    (kit / "agent.env").write_text(settings.replace("==0.1.0", "==0.2.0"))
    assert install(kit).returncode == 0
    assert (root / "opt/exclave-agent").readlink() != first
