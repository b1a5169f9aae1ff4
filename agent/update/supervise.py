"""The supervisor of an install agent that may update itself: starts it, tries another version, and puts the old one back.

    python -P -m agent.update.supervise --base VERSION --home DIR --url URL [--probe S] [--report S] [--settle S] -- ARGUMENTS

It is of the package that was installed on the machine, is never updated itself, and needs only the standard library: it has to
work when nothing else does. It may be killed at any moment: what it does next it reads from the disk (`agent.update.state`).
Each step is repeated if it wasn't finished, so that the agent that is started is always the old one or the new one, whole.
"""

import argparse
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from agent.update import state
from agent.update.state import BASE, State, StateUnreadableError, Trial
from agent.update.versions import Versions

STARTS = 3
"""A new version that ends so many times by itself before it has held is given up."""
_SAID = 300
_VARIABLE = "EXCLAVE_SUPERVISOR"


@dataclass(frozen=True)
class Patience:
    """How long is waited, in seconds: for the probe, for the first report, from then until the version is held for good.

    `stop`: for a version that is given up to end by itself. `look`: between looks at the disk.
    """

    probe: float = 60
    report: float = 180
    settle: float = 60
    stop: float = 10
    look: float = 2


class Supervisor:
    """Runs one agent. `base` is the installed version; `arguments` are those of its `exclave`, `probe` those of the probe."""

    def __init__(self, versions: Versions, base: str, patience: Patience, arguments: list[str], probe: list[str]) -> None:
        self._versions = versions
        self._base = base
        self._patience = patience
        self._arguments = arguments
        self._probe_arguments = probe
        self._signals: list[int] = []
        self._passed = 0
        self._wake, self._woken = socket.socketpair()
        self._reason = ""

    def run(self) -> int:
        """Until the agent ends by itself, or is told to; gives its exit code."""
        for each in (self._wake, self._woken):
            each.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: self._signals.append(received))
        self._look_at_base()
        while not self._signals:
            trial = self._state().trial
            if trial is None:
                code = self._run_agent()
                if code is not None:
                    return code
            elif not trial.trying:
                self._begin(trial)
            else:
                self._try(trial)
        return 0

    def _state(self) -> State:
        try:
            return self._versions.read()
        except StateUnreadableError as error:
            _say(f"{self._versions.folder / 'state.json'} can't be read, and no update is tried: {error}")
            return State()

    def _look_at_base(self) -> None:
        """What was installed anew on the machine since, and is newer, is what the customer wants to run."""
        base = self._base
        found = self._state()
        if found.base == base:
            return
        current = self._versions.current()
        if found.trial is None and current != BASE and state.newer(base, current):
            _say(f"Exclave {base} was installed here and is newer than {current}: it runs from now on")
            self._versions.point(BASE)
        with contextlib.suppress(StateUnreadableError):
            self._versions.change(lambda now: replace(now, base=base))

    # A version before it is tried.

    def _begin(self, trial: Trial) -> None:
        self._await_home()
        if self._signals:
            return
        _say(f"trying Exclave {trial.version}")
        reason = self._versions.problem(trial.target) or self._probe(trial)
        if self._signals:
            return
        if reason:
            self._give_up(trial, reason)
        else:
            self._versions.change(state.begun)

    def _probe(self, trial: Trial) -> str:
        """Why the version can't be tried, in words; empty if it says the right version and reaches the IMS."""
        command = self._versions.command(trial.target)
        reason, said = self._ran([*command, "--version"])
        if reason:
            return f"it doesn't start: {reason}"
        if trial.version not in said.split():
            return f"it calls itself {_short(said)!r}"
        held = ["--job", trial.job, "--attempt", str(trial.attempt)] if trial.job else []
        reason, _ = self._ran([*command, "agent", "probe", *self._probe_arguments, *held])
        return f"its probe failed: {reason}" if reason else ""

    def _ran(self, command: list[str]) -> tuple[str, str]:
        """Why a command failed, or what it said."""
        with tempfile.TemporaryFile() as output:
            try:
                child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
                )
            except OSError as error:
                return str(error.strerror), ""
            until = time.monotonic() + self._patience.probe
            while child.poll() is None and time.monotonic() < until and not self._signals:
                self._wait(until - time.monotonic())
            ended = child.poll()
            if ended is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            output.seek(0)
            said = output.read(1024 * 1024).decode(errors="replace").strip()
        if ended is None:
            return f"it didn't end within {self._patience.probe:g} s", ""
        return (_short(said) or f"exit code {ended}" if ended else ""), said

    # A version that is tried, or that has held.

    def _try(self, trial: Trial) -> None:
        self._versions.point(trial.target)
        if trial.starts >= STARTS:
            self._give_up(trial, f"it ended by itself {STARTS} times: {self._reason or 'its own log says more'}")
            return
        if reason := self._versions.problem(trial.target):
            self._give_up(trial, reason)
            return
        self._versions.change(state.started)
        child, channel = self._spawn(trial.target)
        if child is None or channel is None:
            return
        with channel:
            reported, began = 0.0, time.monotonic()
            while child.poll() is None:
                now = time.monotonic()
                if reported and now - reported >= self._patience.settle:
                    self._hold(trial, channel)
                    self._attend(child, channel)
                    return
                if not reported and now - began >= self._patience.report:
                    self._end(child)
                    self._give_up(trial, f"it didn't reach the IMS within {self._patience.report:g} s")
                    return
                self._pass_signals(child)
                until = reported + self._patience.settle if reported else began + self._patience.report
                if b"reported" in self._wait(min(until - now, self._patience.look), channel) and not reported:
                    reported = time.monotonic()
            self._reason = _ended(child.returncode)

    def _hold(self, trial: Trial, channel: socket.socket) -> None:
        self._prune(trial)  # while the trial lasts: nobody brings another version meanwhile
        self._versions.change(state.held)
        _say(f"Exclave {trial.version} has held")
        with contextlib.suppress(OSError):  # it ends just now, and the next one notes it
            channel.sendall(b"held\n")

    def _give_up(self, trial: Trial, reason: str) -> None:
        """Put back what ran before.

        First the link, then the end of the trial: the other way round, a kill between the two would leave a version that
        nobody watches.
        """
        _say(f"Exclave {trial.version} is given up: {reason}")
        self._versions.point(trial.back_to)
        self._prune(trial, self._state().previous)
        self._versions.change(lambda now: state.given_up(now, reason))
        self._reason = ""

    def _prune(self, trial: Trial, *more: str) -> None:
        """Keep what runs, what ran before, what waits for the customer, and what was tried."""
        now = self._state()
        kept = {self._versions.current(), trial.target, trial.back_to, *more}
        self._versions.prune(kept | ({now.offered.version} if now.offered else set()))

    def _run_agent(self) -> int | None:
        """Run what has held until it ends; None if there is more to do."""
        target = self._versions.current()
        if problem := self._versions.problem(target):
            previous = self._state().previous
            back = previous if previous not in ("", target) and not self._versions.problem(previous) else BASE
            _say(f"Exclave {target} can't be started: {problem}. {back} runs instead")
            self._versions.point(back)
            return None
        child, channel = self._spawn(target)
        if child is None or channel is None:
            return 0 if self._signals else 1
        with channel:
            drained = self._attend(child, channel)
        return None if drained and not self._signals else _code(child.returncode)

    def _attend(self, child: "subprocess.Popen[bytes]", channel: socket.socket) -> bool:
        """Until the agent has ended. Whether it was told to, because another version is to be tried."""
        file, seen, drained = self._versions.folder / "state.json", -1, False
        while child.poll() is None:
            self._pass_signals(child)
            looked = file.stat().st_mtime_ns if file.exists() else 0
            if not drained and looked != seen and self._state().trial:
                drained = True
                with contextlib.suppress(OSError):  # it ends just now
                    channel.sendall(b"drain\n")
            seen = looked
            self._wait(self._patience.look, channel)
        return drained

    def _spawn(self, target: str) -> "tuple[subprocess.Popen[bytes] | None, socket.socket | None]":
        self._await_home()
        if self._signals:
            return None, None
        ours, theirs = socket.socketpair()
        packages = list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
        given = json.dumps({"channel": theirs.fileno(), "base": sys.executable, "packages": packages})
        try:
            # Of a session of its own: Ctrl-C comes from here alone, once.
            child = subprocess.Popen(
                [*self._versions.command(target), *self._arguments],
                env={**os.environ, _VARIABLE: given},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            _say(f"Exclave {target} can't be started: {error.strerror}")
            self._reason = str(error.strerror)
            ours.close()
            return None, None
        finally:
            theirs.close()
        ours.setblocking(False)
        return child, ours

    def _await_home(self) -> None:
        """An agent whose supervisor was killed ends by itself, and must have before another one begins."""
        descriptor = os.open(self._versions.home / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            said = False
            while not self._signals:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not said:
                        _say(f"waits for the agent that still runs on {self._versions.home}")
                    said = True
                    self._wait(0.2)
                else:
                    return
        finally:
            os.close(descriptor)

    def _pass_signals(self, child: "subprocess.Popen[bytes]") -> None:
        for number in self._signals[self._passed :]:
            child.send_signal(number)
        self._passed = len(self._signals)

    def _end(self, child: "subprocess.Popen[bytes]") -> None:
        child.terminate()
        try:
            child.wait(self._patience.stop)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _wait(self, seconds: float, channel: socket.socket | None = None) -> bytes:
        """Until a signal comes (a child's end, too), the agent says something, or the time is over; gives what it said."""
        sources = [self._wake, *([channel] if channel else [])]
        ready, _, _ = select.select(sources, [], [], max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(1024)
        if channel is None or channel not in ready:
            return b""
        try:
            said = channel.recv(1024)
        except OSError:
            said = b""
        if not said:
            time.sleep(0.05)  # the agent is ending, and its socket, always readable by now, has nothing more to say
        return said


def _say(text: str) -> None:
    print(f"supervisor: {text}", file=sys.stderr, flush=True)


def _short(said: str) -> str:
    """The last line, cut."""
    return said.splitlines()[-1][:_SAID] if said else ""


def _code(returned: int) -> int:
    return 128 - returned if returned < 0 else returned


def _ended(returned: int) -> str:
    return f"signal {-returned}" if returned < 0 else f"exit code {returned}"


def main() -> int:
    """The module's command line."""
    parser = argparse.ArgumentParser(prog="agent.update.supervise", allow_abbrev=False)
    parser.add_argument("--base", required=True)
    parser.add_argument("--home", type=Path, required=True)
    for name in ("probe", "report", "settle"):
        parser.add_argument(f"--{name}", type=float, default=getattr(Patience, name))
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca-file")
    parser.add_argument("arguments", nargs="+")
    given = parser.parse_args()
    os.umask(0o077)
    home = given.home.absolute()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    versions = Versions(home)
    versions.prepare()
    lock = os.open(versions.folder / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say(f"another one works on {home}; give each agent a folder of its own")
        return 1
    probe = ["--home", str(home), "--url", given.url, *(["--ca-file", given.ca_file] if given.ca_file else [])]
    patience = Patience(given.probe, given.report, given.settle)
    return Supervisor(versions, given.base, patience, given.arguments, probe).run()


if __name__ == "__main__":
    sys.exit(main())
