"""Install agents that update themselves, as real processes, and a vendor who publishes versions of them."""

import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_wheels import agent_wheel
from stage import Finished, Process, Stage, wait_for

from agent.identity import VERSION
from agent.update.state import State
from agent.update.versions import Versions

AUTO = "version: 1\nupdates:\n  mode: auto\n"
SETTLE = 1.5
REPORT = 120
DOES_NOT_START = "raise RuntimeError('this version is broken')\n"


@dataclass
class Field:
    """An IMS, and customers whose agents have a supervisor with little patience."""

    stage: Stage
    published: dict[str, str] = field(default_factory=dict)

    def publish(self, version: str, *, key: Path | None = None, **wheel: Any) -> str:
        """Publish a version, which `wheel` may break; gives its digest."""
        made = agent_wheel(self.stage.folder / "wheels" / version, version, **wheel)
        key = key or self.stage.vendor / "build-agent" / "vendor.key"
        done = self.stage.exclave("agent", "publish", str(made), "--signing-key", str(key), "--json")
        assert done.code == 0, done.output
        self.published[version] = json.loads(done.output)["digest"]
        return self.published[version]

    def join(self, name: str, policy: str = AUTO) -> "Customer":
        """A customer with a registry, a policy and an agent that waits for jobs."""
        if self.stage.find("/v1/apps/shop") is None:
            self.stage.post("/v1/apps", {"name": "shop"})
        self.stage.post("/v1/installs", {"name": name, "app_id": "shop"})
        self.stage.start_registry(name)
        self.stage.enroll(name)
        customer = Customer(self, name)
        customer.home.mkdir(mode=0o700)
        (customer.home / "policy.yaml").write_text(policy)
        customer.start()
        wait_for("the agent", lambda: (customer.home / "identity.json").exists())
        return customer


@dataclass
class Customer:
    """One install, and what its agent is at."""

    field: Field
    name: str

    @property
    def home(self) -> Path:
        return self.field.stage.customer(self.name) / "agent"

    @property
    def versions(self) -> Versions:
        return Versions(self.home)

    @property
    def state(self) -> State:
        return self.versions.read()

    @property
    def supervisor(self) -> Process:
        return self.field.stage.processes[f"{self.name}/agent"]

    @property
    def agent_id(self) -> str:
        return json.loads((self.home / "identity.json").read_text())["agent_id"]

    def start(self) -> Process:
        """Start the supervisor (again)."""
        stage = self.field.stage
        patience = ["--settle", str(SETTLE), "--report", str(REPORT)]
        supervise = [sys.executable, "-P", "-m", "agent.update.supervise", "--base", VERSION]
        supervise += ["--home", str(self.home), "--url", stage.url]
        stage.around = lambda name, command: [*supervise, *patience, "--", *command[4:]] if name.endswith("/agent") else command
        return stage.start_agent(self.name, "--self-update")

    def offer(self, version: str, digest: str | None = None) -> str:
        """The IMS offers a version; gives the job."""
        body = {"version": version, "digest": digest or self.field.published[version]}
        job: str = self.field.stage.post(f"/v1/agents/{self.agent_id}/updates", body)["id"]
        return job

    def ended(self, job: str, seconds: float = 240) -> Any:
        """The job, once it has ended."""
        wait_for(f"the end of {job}", lambda: self.field.stage.get(f"/v1/jobs/{job}")["ended_at"], seconds=seconds)
        return self.field.stage.get(f"/v1/jobs/{job}")

    def update(self, version: str, digest: str | None = None) -> Any:
        """Offer a version, and see how that ends: the job."""
        return self.ended(self.offer(version, digest))

    def told_version(self) -> str:
        """The version under which the agent last signed in."""
        version: str = self.field.stage.get(f"/v1/agents/{self.agent_id}")["version"]
        return version

    def agents(self) -> list[int]:
        """The processes of this agent, without the supervisor."""
        found = []
        for process in Path("/proc").iterdir():
            try:
                command = (process / "cmdline").read_text().split("\0")
            except OSError:  # not a process, or one that has ended meanwhile
                continue
            if str(self.home) in command and "install" in command and "agent.update.supervise" not in command:
                found.append(int(process.name))
        return found

    def works(self) -> bool:
        """Whether one agent is there, and takes a job: an offer that it refuses at once will do."""
        wait_for("one agent", lambda: len(self.agents()) == 1)
        refused = self.ended(self.offer("0.0.1", "sha256:" + "0" * 64))
        return len(self.agents()) == 1 and refused["failure"]["code"] == "update_refused"

    def events(self) -> list[tuple[str, Any]]:
        """What the ledger says of updates."""
        shown = self.exclave("agent", "ledger", "show", "--home", str(self.home), "--json", "--last", "500").output
        lines = [json.loads(line) for line in shown.splitlines()]
        return [(line["event"], line["data"]) for line in lines if line["event"].startswith("update.")]

    def exclave(self, *command: str) -> Finished:
        return self.field.stage.exclave(*command)

    def kill(self) -> None:
        """SIGKILL to the supervisor and the agent at once: the machine's power is cut."""
        agents = self.agents()
        self.supervisor.kill()
        for pid in agents:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
