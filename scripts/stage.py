"""A vendor and customers on one machine, as real processes: what the demo, the end-to-end tests and the benchmarks stand on.

Everything lives in one folder; every process listens on a free port of 127.0.0.1 and is ended by its own id.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.engine.find import find_engine

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "terraform" / "examples" / "quickstart"
EXCLAVE = [sys.executable, "-P", "-m", "api.cli"]


class StageError(Exception):
    """Something didn't come up, or a command failed; the text has its last words."""


def wait_for(what: str, ready: Callable[[], Any], *, seconds: float = 240, interval: float = 0.05) -> Any:
    """Ask `ready` until it gives something true, and return that. Raises StageError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = ready()
        if value:
            return value
        if time.monotonic() > deadline:
            raise StageError(f"{what}: not there after {seconds:g} s")
        time.sleep(interval)


def pass_on(line: str) -> None:
    """Print one line of a program."""
    print(f"    {line}", flush=True)


@dataclass
class Process:
    """A running program of the stage, its output in a file."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def alive(self) -> bool:
        """Whether it runs."""
        return self.popen.poll() is None

    def stop(self, *, seconds: float = 120) -> int:
        """SIGTERM, then SIGKILL if it hasn't ended after `seconds`. Returns the exit code."""
        if self.alive():
            self.popen.terminate()
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.popen.wait()

    def kill(self) -> None:
        """SIGKILL, and nothing else."""
        self.popen.kill()
        self.popen.wait()


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    output: str


@dataclass
class Stage:
    """One vendor, and customers by name."""

    folder: Path
    lease_seconds: float = 120
    engine: str | None = None
    processes: dict[str, Process] = field(default_factory=dict)
    around: Callable[[str, list[str]], list[str]] = lambda _name, command: command
    """How a program is started, by its name: the e2e tests put a customer's into a network of its own."""
    work: Path = field(init=False)
    """The vendor engineer's Terraform folder."""
    _terraform_ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.work = self.folder / "work"
        self._terraform = find_engine(self.engine, os.environ).argv()  # what `exclave terraform` runs

    @property
    def vendor(self) -> Path:
        """The IMS's data folder."""
        return self.folder / "vendor"

    @property
    def home(self) -> Path:
        """The vendor engineer's home folder, where the provider is installed."""
        return self.folder / "home"

    @property
    def url(self) -> str:
        """The IMS's URL."""
        return (self.folder / "ims.url").read_text().strip()

    @property
    def token_file(self) -> Path:
        """The admin token."""
        return self.vendor / "admin.token"

    def customer(self, name: str) -> Path:
        """What one customer has: `registry/` and `agent/`."""
        return self.folder / "customers" / name

    def environment(self) -> dict[str, str]:
        """The environment of every program: nothing of the machine's own Terraform or Exclave settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "EXCLAVE_"))}
        extra = {"HOME": str(self.home), "PYTHONUNBUFFERED": "1", "CHECKPOINT_DISABLE": "1"}
        if self.engine:
            extra["EXCLAVE_ENGINE"] = self.engine
        return kept | extra

    def start(self, name: str, *command: str) -> Process:
        """Start `exclave <command>` in the background."""
        log = self.folder / "logs" / f"{name.replace('/', '-')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            popen = subprocess.Popen(
                self.around(name, [*EXCLAVE, *command]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
            )
        self.processes[name] = Process(name, popen, log)
        return self.processes[name]

    def _await_file(self, process: Process, path: Path) -> None:
        def ready() -> bool:
            if not process.alive():
                raise StageError(f"{process.name} ended with code {process.popen.returncode}:\n{process.log.read_text()}")
            return path.exists() and bool(path.read_text().strip())

        wait_for(process.name, ready)

    def start_ims(self, *, port: int = 0) -> str:
        """Start the IMS with its build agent, and wait until both are there. Returns the URL."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.folder / "ims.url").unlink(missing_ok=True)
        options = ["--port", str(port), "--url-file", str(self.folder / "ims.url"), "--lease-seconds", str(self.lease_seconds)]
        process = self.start("ims", "up", "--data", str(self.vendor), *options)
        self._await_file(process, self.folder / "ims.url")
        wait_for("the build agent", lambda: [a for a in self.get("/v1/agents")["items"] if a["kind"] == "build"])
        return self.url

    def start_registry(self, customer: str, *, port: int = 0) -> Path:
        """Start a customer's own registry. Returns the file with the writer's credentials."""
        data = self.customer(customer) / "registry"
        port_file = self.customer(customer) / "registry.port"
        port_file.parent.mkdir(parents=True, exist_ok=True)
        port_file.unlink(missing_ok=True)
        options = ["--data", str(data), "--port", str(port), "--port-file", str(port_file)]
        self._await_file(self.start(f"{customer}/registry", "registry", *options), port_file)
        return data / "writer.json"

    def enroll(self, install: str) -> Path:
        """Make a one-time enrolment token for an install's agent. Returns its file."""
        token = self.customer(install) / "enrollment.token"
        token.parent.mkdir(parents=True, exist_ok=True)
        made = self.post("/v1/agents/enrollments", {"kind": "install", "install_id": install})
        token.write_text(made["secret"])
        token.chmod(0o600)
        return token

    def start_agent(self, install: str, *options: str) -> Process:
        """Start (again) the install agent of a customer; the first time, after `enroll`."""
        token = self.customer(install) / "enrollment.token"
        writer = self.customer(install) / "registry" / "writer.json"
        given = ["--url", self.url, "--token-file", str(token), "--home", str(self.customer(install) / "agent")]
        return self.start(f"{install}/agent", "agent", "install", *given, "--registry-credentials", str(writer), *options)

    def join(self, install: str) -> None:
        """Play the customer: once the install is there, start a registry and an enrolled agent for it."""

        def there() -> Any:
            found = self.find(f"/v1/installs/{install}")
            if not found and self._terraform_ended.is_set():
                raise StageError(f"Terraform ended without making the install {install}")
            return found

        wait_for(f"install {install}", there)
        self.start_registry(install)
        self.enroll(install)
        self.start_agent(install)

    def exclave(self, *command: str) -> Finished:
        """Run an `exclave` command of the vendor's to its end."""
        environment = self.environment() | {"EXCLAVE_TOKEN_FILE": str(self.token_file)}
        if (self.folder / "ims.url").exists():
            environment["EXCLAVE_URL"] = self.url
        ended = subprocess.run(
            [*EXCLAVE, *command], capture_output=True, text=True, env=environment, cwd=self.folder, check=False
        )
        return Finished(ended.returncode, ended.stdout + ended.stderr)

    def install_provider(self) -> None:
        """Put the provider where Terraform finds it, in the stage's own home."""
        done = self.exclave("provider", "install")
        if done.code:
            raise StageError(f"exclave provider install failed:\n{done.output}")

    def copy_quickstart(self) -> Path:
        """The quickstart as a folder of the vendor engineer's own."""
        ignore = shutil.ignore_patterns(".terraform*", "*.tfstate*")
        shutil.copytree(QUICKSTART, self.work, ignore=ignore, dirs_exist_ok=True)
        return self.work

    def terraform_environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """The vendor engineer's shell, with no CLI configuration of Terraform's."""
        found = {"EXCLAVE_URL": self.url, "EXCLAVE_TOKEN_FILE": str(self.token_file), "TF_IN_AUTOMATION": "1"}
        return self.environment() | found | {f"TF_VAR_{name}": value for name, value in (variables or {}).items()}

    def start_terraform(self, *arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start Terraform in the vendor engineer's folder, in a process group of its own."""
        self._terraform_ended.clear()
        return subprocess.Popen(
            [*self._terraform, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.work,
            env=self.terraform_environment(variables),
            start_new_session=True,
        )

    def terraform(
        self,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        line: Callable[[str], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> Finished:
        """Run Terraform to its end; `line` gets each line as it comes, `meanwhile` runs beside it.

        Neither Terraform nor `meanwhile` outlives the call, also when Ctrl-C ends it.
        """
        process = self.start_terraform(*arguments, variables=variables)
        failed: list[Exception] = []

        def beside() -> None:
            try:
                assert meanwhile
                meanwhile()
            except Exception as error:  # told when Terraform has ended, which it then does soon
                failed.append(error)
                process.send_signal(signal.SIGINT)

        thread = threading.Thread(target=beside) if meanwhile else None
        if thread:
            thread.start()
        lines = []
        assert process.stdout
        try:
            for text in process.stdout:
                lines.append(text)
                if line:
                    line(text.rstrip("\n"))
            code = process.wait()
        finally:
            end_group(process)
            self._terraform_ended.set()
            process.stdout.close()
            if thread:
                thread.join()
        if failed:
            raise failed[0]
        return Finished(code, "".join(lines))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the IMS as its admin; the answer's JSON. Raises urllib.error.HTTPError."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token_file.read_text().strip()}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def get(self, path: str) -> Any:
        """GET a path of the IMS."""
        return self.call("GET", path)

    def post(self, path: str, body: Any) -> Any:
        """POST to a path of the IMS."""
        return self.call("POST", path, body)

    def find(self, path: str) -> Any:
        """GET a path of the IMS, or None if there is nothing (yet)."""
        try:
            return self.get(path)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 404:
                raise
            return None

    def steps(self, install: str) -> list[str]:
        """What the newest deploy of an install did, as `component kind: status`."""
        newest = self.get(f"/v1/deploys?install={install}&order=desc&limit=1")["items"][0]
        return [f"{step['component']} {step['kind']}: {step['status']}" for step in newest["steps"]]

    def stop(self) -> None:
        """End every process that this stage started: agents first, so that they can report."""
        order = sorted(self.processes, key=lambda name: (name == "ims", not name.endswith("/agent")))
        for name in order:
            self.processes.pop(name).stop()

    def remove(self) -> None:
        """End everything, and delete the folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def detach(self) -> None:
        """Leave the processes running; `end_detached` ends them."""
        pids = {name: process.popen.pid for name, process in self.processes.items()}
        (self.folder / "processes.json").write_text(json.dumps(pids))
        self.processes.clear()


def end_group(process: subprocess.Popen[str]) -> None:
    """SIGKILL to a process and all that it started, if it still runs. It leads a process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def end_detached(folder: Path) -> bool:
    """End what `Stage.detach` left running in a folder, and delete the folder. False if there is nothing."""
    record = folder / "processes.json"
    if not record.exists():
        return False
    pids: dict[str, int] = json.loads(record.read_text())
    for name in sorted(pids, key=lambda name: (name == "ims", not name.endswith("/agent"))):
        with contextlib.suppress(ProcessLookupError):
            # The folder is in its command line: another process that got the id later is left alone.
            if str(folder) in _command_line(pids[name]):
                os.kill(pids[name], signal.SIGTERM)
                wait_for(f"the end of {name}", lambda pid=pids[name]: str(folder) not in _command_line(pid), seconds=120)
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _command_line(pid: int) -> str:
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")  # empty for a zombie
        except OSError:
            return ""
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
