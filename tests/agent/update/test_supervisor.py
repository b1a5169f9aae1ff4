"""The supervisor tries another version and puts the old one back. Agents are stand-ins that speak its protocol.

Wherever the supervisor is killed, started again it has one agent at work: the old version or the new one, whole.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from stage import wait_for

from agent.update import state
from agent.update.state import BASE, State, Trial
from agent.update.versions import Versions

SCRIPT = Path(__file__).with_name("small_supervisor.py")
AGENT = """#!{python} -SE
import fcntl, json, os, select, signal, socket, sys, time
from pathlib import Path

version, kind = {version!r}, {kind!r}
arguments = sys.argv[1:]
if "--version" in arguments:
    print("exclave, version", version)
    sys.exit(kind == "no start")
if "probe" in arguments:
    print("the probe's last word")
    sys.exit(kind == "no probe")
home = Path(arguments[-1])
lock = os.open(home / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
channel = socket.socket(fileno=json.loads(os.environ["EXCLAVE_SUPERVISOR"])["channel"])
wake, woken = socket.socketpair()
woken.setblocking(False)
signal.set_wakeup_fd(woken.fileno())  # or a signal that comes just before a wait would be heard only after it
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if kind == "crash":
    sys.exit(7)
(home / "running").write_text(f"{{version}} {{os.getpid()}}")
if kind != "silent":
    channel.sendall(b"reported\\n")
if kind == "crash later":
    time.sleep(0.1)
    sys.exit(8)
said = b"-"
while said and b"drain" not in said:
    select.select([channel, wake], [], [])
    said = channel.recv(100)
"""


@dataclass
class Machine:
    """A home with a supervisor, an installed version 0.1.0, and others."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def versions(self) -> Versions:
        return Versions(self.home)

    @property
    def steps(self) -> list[str]:
        file = self.folder / "steps"
        return file.read_text().splitlines() if file.exists() else []

    def install(self, python: Path, version: str, kind: str = "good") -> None:
        python.parent.mkdir(parents=True)
        python.write_text(AGENT.format(python=sys.executable, version=version, kind=kind))
        python.chmod(0o755)

    def bring(self, version: str, kind: str = "good") -> None:
        """A version that lies ready."""
        self.versions.prepare()
        self.install(self.versions.root(version) / "bin" / "python", version, kind)
        self.versions.root(version).chmod(0o700)
        self.versions.describe(version, f"digest of {version}", self.versions.root(version))

    def start(self, kill_at: int = 0, *, report: float = 120, settle: float = 0.2) -> None:
        command = [sys.executable, "-P", str(SCRIPT), str(self.home), str(self.folder / "base" / "python"), str(kill_at)]
        command += [str(self.folder / "steps"), str(report), str(settle)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def stage(self, version: str) -> None:
        """Have a version tried."""
        trial = Trial(version, version, f"digest of {version}", self.versions.current(), job=f"job of {version}")
        self.versions.change(lambda now: state.staged(now, trial))

    def settled(self) -> State:
        """What is, once no trial is under way."""
        wait_for("the end of the trial", lambda: self.versions.read().trial is None)
        return self.versions.read()

    def running(self) -> str:
        """The version of the agent that runs: exactly one, as it holds the home's lock."""

        def alive() -> str:
            try:
                version, pid = (self.home / "running").read_text().split()
                os.kill(int(pid), 0)
            except (OSError, ValueError):
                return ""
            return version if b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] else ""

        version: str = wait_for("a running agent", alive)
        return version

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    made.home.mkdir(mode=0o700)
    made.install(tmp_path / "base" / "python", "0.1.0")
    yield made
    if made.process and made.process.poll() is None:
        made.stop()


def test_a_version_that_reports_and_stays_up_is_kept_with_the_one_before_it(machine: Machine) -> None:
    machine.start()
    for version, before in (("0.2.0", BASE), ("0.3.0", "0.2.0"), ("0.4.0", "0.3.0")):
        machine.bring(version)
        machine.stage(version)
        ended = machine.settled()
        assert ended.last
        assert (ended.last.outcome, ended.last.job, ended.previous) == ("updated", f"job of {version}", before)
        assert (machine.versions.current(), machine.running(), ended.highest) == (version, version, version)
    assert machine.versions.there() == ["0.3.0", "0.4.0"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("no start", "it doesn't start: exclave, version 0.3.0"),
        ("no probe", "its probe failed: the probe's last word"),
        ("crash", "it ended by itself 3 times: exit code 7"),
        ("crash later", "it ended by itself 3 times: exit code 8"),
        ("silent", "it didn't reach the IMS within 2 s"),
    ],
)
def test_a_version_that_does_not_hold_is_put_back(machine: Machine, kind: str, reason: str) -> None:
    machine.bring("0.2.0")
    machine.versions.point("0.2.0")
    machine.bring("0.3.0", kind)
    # However slow the machine is: one that is silent is given up, and one that ends has not been up for long enough.
    machine.start(report=2 if kind == "silent" else 120, settle=120 if kind == "crash later" else 0.2)
    assert machine.running() == "0.2.0"
    machine.stage("0.3.0")
    ended = machine.settled()
    assert ended.last
    assert (ended.last.outcome, ended.last.reason) == ("rolled_back", reason)
    assert (machine.versions.current(), ended.highest, ended.refused) == ("0.2.0", "", ("digest of 0.3.0",))
    wait_for("the old version", lambda: machine.running() == "0.2.0")


def test_files_that_are_not_as_they_were_verified_are_not_started(machine: Machine) -> None:
    machine.bring("0.2.0")
    (machine.versions.root("0.2.0") / "more.py").write_text("")
    machine.start()
    assert machine.running() == "0.1.0"
    machine.stage("0.2.0")
    ended = machine.settled()
    assert ended.last
    assert "aren't those that were verified" in ended.last.reason
    assert machine.running() == "0.1.0"
    machine.stop()

    machine.versions.point("0.2.0")
    machine.start()
    wait_for("the installed version", lambda: machine.versions.current() == BASE)
    assert machine.running() == "0.1.0"


def test_a_newer_version_that_is_installed_on_the_machine_runs(machine: Machine) -> None:
    machine.bring("0.0.5")
    machine.versions.point("0.0.5")
    machine.start()
    assert machine.running() == "0.1.0"
    assert machine.versions.current() == BASE


def test_the_supervisors_own_stop_ends_the_agent_and_nothing_else(machine: Machine) -> None:
    machine.start()
    machine.running()
    assert machine.stop() == 0
    assert machine.versions.read().trial is None


def _steps_of_an_update(folder: Path, kind: str) -> int:
    machine = Machine(folder)
    machine.home.mkdir(mode=0o700, parents=True)
    machine.install(folder / "base" / "python", "0.1.0")
    machine.bring("0.2.0", kind)
    machine.stage("0.2.0")
    machine.start()
    machine.settled()
    machine.running()
    machine.stop()
    return len(machine.steps)


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["good", "crash"])
def test_killed_at_any_step_it_leaves_one_agent_that_works(tmp_path: Path, kind: str) -> None:
    """`one-agent`: SIGKILL before and after each change on the disk, and before and after each start."""
    steps = _steps_of_an_update(tmp_path / "whole", kind)
    assert steps >= 12
    for kill_at in range(1, steps + 1):
        _killed_at(kill_at, kind, Machine(tmp_path / str(kill_at)))


def _killed_at(kill_at: int, kind: str, machine: Machine) -> None:
    machine.home.mkdir(mode=0o700, parents=True)
    machine.install(machine.folder / "base" / "python", "0.1.0")
    machine.bring("0.2.0", kind)
    machine.stage("0.2.0")
    machine.start(kill_at)
    assert machine.process
    killed = machine.process.wait(120)
    assert killed == -signal.SIGKILL, f"step {kill_at}: {killed}"
    assert machine.versions.current() in (BASE, "0.2.0")
    machine.start()
    try:
        ended = machine.settled()
        assert ended.last, f"step {kill_at}"
        assert kind == "good" or ended.last.outcome == "rolled_back", f"step {kill_at}"
        want = "0.2.0" if ended.last.outcome == "updated" else "0.1.0"
        wait_for(f"step {kill_at}: {want}", lambda: machine.running() == want)
        assert machine.versions.current() == ("0.2.0" if want == "0.2.0" else BASE), f"step {kill_at}"
    finally:
        machine.stop()
