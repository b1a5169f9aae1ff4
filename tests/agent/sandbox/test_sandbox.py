"""The sandbox itself: it ends with the agent, and an agent without root or a range of users has one, too."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from agent.sandbox import inside
from agent.sandbox.sandbox import PlainSandbox, for_builders

NOBODY = 65534
SYSTEM = "/usr/bin/python3"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "file").write_text("shown")
    return tmp_path / "shown"


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("kind", ["plain", "builder"])
def test_what_runs_in_it_ends_when_the_agent_is_killed(kind: str, folder: Path) -> None:
    """A builder went on for up to an hour, and kept its folder."""
    if os.getuid() != 0:
        pytest.skip("needs root, or a range of users")
    argv = (
        PlainSandbox({"x": folder}, "x").argv(["sleep", "300"])
        if kind == "plain"
        else [*for_builders(Path("/")), "sleep", "300"]
    )
    at = argv.index("--die-with") + 1
    agent = f"import os, subprocess, sys\nargv = {argv!r}\nargv[{at}] = str(os.getpid())\n"
    agent += "child = subprocess.Popen(argv)\nprint(child.pid, flush=True)\nchild.wait()\n"
    with subprocess.Popen([sys.executable, "-c", agent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        started = _descendants(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 240
    while any(map(_runs, started)):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.01)


def _descendants(process: int) -> list[int]:
    """The process and all below it, once the program itself is among them."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        found, unread = [], [process]
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one has just ended
            while unread:
                found.append(unread.pop())
                unread += map(int, Path(f"/proc/{found[-1]}/task/{found[-1]}/children").read_text().split())
            if any(Path(f"/proc/{each}/comm").read_text() == "sleep\n" for each in found):
                return found
        time.sleep(0.01)
    raise AssertionError("the program was never started")


def test_an_agent_without_a_range_of_users_has_one_too(folder: Path) -> None:
    """Then it is the same user, but without its secrets, its processes or a network."""
    if os.getuid() != 0 or not Path(SYSTEM).exists():
        pytest.skip("needs root, to become nobody")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as opened:
        Path(opened).chmod(0o755)
        shown, secrets = Path(opened, "shown"), Path(opened, "secrets")
        shutil.copytree(folder, shown)
        secrets.mkdir()
        (secrets / "key").write_text("canary")
        _check_alone(shown, secrets)


def _check_alone(folder: Path, secrets: Path) -> None:
    script = "id -u; cat file; ls /proc | grep -c '^[0-9]'; cat SECRETS/key; grep NoNewPrivs /proc/self/status; umount SECRETS"
    program = ["sh", "-c", script.replace("SECRETS", str(secrets))]
    argv = [SYSTEM, *PlainSandbox({"x": folder}, "x", hidden=[secrets]).argv(program)[1:]]
    at = argv.index("--die-with")
    del argv[at : at + 2]
    ran = subprocess.run(argv, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True, text=True, env={})
    if "sandbox:" in ran.stderr:
        pytest.skip(f"this machine lets nobody make a user namespace: {ran.stderr}")
    lines = ran.stdout.split()
    assert lines[0] == str(NOBODY)
    assert lines[1].startswith("shown")
    assert "canary" not in ran.stdout
    assert "NoNewPrivs:" in lines
    assert ran.returncode != 0  # the last thing that it tried was to uncover what is hidden


def test_what_the_vendor_chose_means_nothing_to_the_sandbox(folder: Path) -> None:
    """A variable of the component such as LD_PRELOAD would have been loaded before there was a sandbox."""
    env = PlainSandbox({"x": folder}, "x").env({"LD_PRELOAD": "/tmp/x/evil.so", "PATH": "/tmp/x"})
    assert "LD_PRELOAD" not in env
    assert env["PATH"] != "/tmp/x"
    assert env[f"{inside.FOR_PROGRAM}PATH"] == "/tmp/x"


def test_root_of_a_builder_is_not_the_agents_user(tmp_path: Path) -> None:
    """It was: a RUN that left its chroot could read the agent's signing key."""
    tools = ("unshare", "setpriv", "newuidmap")
    if os.getuid() != 0 or not Path(SYSTEM).exists() or not all(map(shutil.which, tools)):
        pytest.skip("needs root, unshare, setpriv and uidmap")
    (tmp_path / "subid").write_text("12345:300000:65536\n")
    (tmp_path / "passwd").write_text("agent:x:12345:12345::/:/bin/sh\n")  # newuidmap wants to know a name
    files = {"subuid": "subid", "subgid": "subid", "passwd": "passwd"}
    mounts = " && ".join(f"mount --bind {tmp_path / file} /etc/{name}" for name, file in files.items())
    user = "exec setpriv --reuid 12345 --regid 12345 --clear-groups"
    said = {}
    for own in ("", "--own"):
        program = f"{SYSTEM} -I {inside.__file__} {own} -- cat /proc/self/uid_map"
        ran = subprocess.run(["unshare", "-m", "sh", "-c", f"{mounts} && {user} {program}"], cwd="/", capture_output=True)
        if ran.returncode != 0:
            pytest.skip(f"this machine lets nobody make a user namespace: {ran.stderr.decode()}")
        said[own] = [line.split()[1] for line in ran.stdout.decode().splitlines()]
    assert said == {"": ["300000"], "--own": ["12345", "300000"]}
