"""A vendor, three customers and somebody who kills them: `kill -9` at random points under load, and what must hold afterwards.

Everything is real but Terraform: `exclave up`, `exclave agent build`, `exclave agent install`, `exclave registry` as processes
of their own, bundles that are built, signed, synced and unpacked. Terraform is `stand_in_terraform`, which keeps a ledger.

Clients change inputs, release, deploy, approve, cancel and make apps all the while, and note every write that was acknowledged
(2xx). An Idempotency-Key goes with each create, and a create without an answer is sent again until it has one.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from kill_loop_calls import CUSTOMERS, Caller, Written
from kill_loop_verdict import Verdict
from postgresql import PostgresServer
from stage import Process, Stage, wait_for

MODULE = """
variable "text" {
  type    = string
  default = ""
}

variable "secret" {
  type      = string
  default   = ""
  sensitive = true
}

resource "terraform_data" "part" {
  input = var.text
}

output "text" {
  value = terraform_data.part.output
}

output "secret" {
  value     = var.secret
  sensitive = true
}
"""

SETTINGS = """
database = "{database}"

[intervals]
lease = 5
heartbeat = 1
sweep = 0.3
unknown_before_requeue = 5
"""

FINISH_SECONDS = 300


class KillLoop(Verdict):
    """One run. `seed` makes the killer's choices, though not the moments at which they find the programs."""

    def __init__(self, folder: Path, seed: int, postgres: PostgresServer | None = None) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.written = Written()
        self.faults: list[str] = []
        self.kills: Counter[str] = Counter()
        self.seconds = 0.0
        self._postgres = postgres
        self._callers: list[Caller] = []
        self._installs: dict[str, str] = {}
        self._stopping = threading.Event()
        self._engine = folder / "bin" / "terraform"
        self._install_engine()
        self.stage = Stage(folder, engine=str(self._engine))
        self._port = 0
        self._module = folder / "module"
        self._module.mkdir()
        (self._module / "main.tf").write_text(MODULE)

    def _install_engine(self) -> None:
        self._engine.parent.mkdir(parents=True)
        text = Path(__file__).with_name("stand_in_terraform.py").read_text()
        self._engine.write_text(f"#!{sys.executable} -IS\n{text}")
        self._engine.chmod(0o755)

    # Beginning.

    def open(self) -> None:
        """Start everything; a first release is ready, and every customer has its agent."""
        self.stage.vendor.mkdir(mode=0o700)
        self.stage.home.mkdir()
        database = self._postgres.new_database() if self._postgres else "sqlite"
        (self.stage.vendor / "exclave.toml").write_text(SETTINGS.format(database=database))
        self._start_ims()
        wait_for("the IMS", self._answers)
        self._port = int(self.stage.url.rsplit(":", 1)[1])
        caller = self.caller()
        inputs = [{"name": "colour"}, {"name": "secret", "sensitive": True}]
        self._must(caller, "/v1/apps", {"name": "load", "inputs": inputs})
        self._must(caller, "/v1/apps/load/components", {"name": "base", "config": self._config({"text": "{{ install.name }}"})})
        self._must(caller, "/v1/apps/load/components", {"name": "site", "config": self._site("0")})
        token = self.folder / "build.token"
        token.write_text(self._must(caller, "/v1/agents/enrollments", {"kind": "build"})["secret"])
        self._start_builder()
        wait_for("the build agent", lambda: caller.get("/v1/agents")["items"])  # customers' agents pin its key when they enrol
        release = self._must(caller, "/v1/releases", {"app_id": "load"})
        self.written.releases.append(release["id"])
        for name, approval in CUSTOMERS.items():
            body = {"app_id": "load", "name": name, "approval": approval, "inputs": {"colour": "first"}}
            made = self._must(caller, "/v1/installs", {**body, "sensitive_inputs": {"secret": "canary"}})
            self._installs[made["id"]] = name
            self.written.inputs[name] = [(made["inputs_version"], "first")]
            self.written.deploys[name] = []
            self.stage.start_registry(name)
            self.stage.enroll(name)
            self._start_agent(name)
        wait_for("the agents", lambda: len(caller.get("/v1/agents")["items"]) == 1 + len(CUSTOMERS))
        wait_for("the first release", lambda: caller.get(f"/v1/releases/{release['id']}")["status"] == "ready")

    def _answers(self) -> bool:
        process = self.stage.processes["ims"]
        if self._postgres and not process.alive():  # no database at its start: whoever runs a server starts it again
            process = self._start_ims()
        assert process.alive(), process.log.read_text()[-3000:]
        if not (self.folder / "ims.url").exists():  # the server removes an earlier one's when it starts
            return False
        with contextlib.suppress(httpx.TransportError, FileNotFoundError):
            return httpx.get(f"{self.stage.url}/v1", trust_env=False).status_code == 200
        return False

    def _start_ims(self) -> Process:
        options = ["--port", str(self._port), "--url-file", str(self.folder / "ims.url"), "--no-build-agent"]
        return self.stage.start("ims", "up", "--data", str(self.stage.vendor), *options)

    def _start_builder(self) -> Process:
        options = ["--url", self._url, "--home", str(self.folder / "builder"), "--engine", str(self._engine)]
        return self.stage.start("builder/agent", "agent", "build", *options, "--token-file", str(self.folder / "build.token"))

    def _start_agent(self, name: str) -> Process:
        home, writer = self.stage.customer(name) / "agent", self.stage.customer(name) / "registry" / "writer.json"
        options = [
            "--url",
            self._url,
            "--home",
            str(home),
            "--engine",
            str(self._engine),
            "--registry-credentials",
            str(writer),
        ]
        token = self.stage.customer(name) / "enrollment.token"
        return self.stage.start(f"{name}/agent", "agent", "install", *options, "--token-file", str(token))

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def caller(self) -> Caller:
        """A client with a connection of its own."""
        made = Caller(self._url, self.stage.token_file.read_text().strip(), self.faults)
        self._callers.append(made)
        return made

    def _must(self, caller: Caller, path: str, body: Any) -> Any:
        # An enrolment's answer has a secret, and takes no key; nobody is killed when it is made.
        key = None if path.endswith("/enrollments") else uuid.uuid4().hex
        status, found = caller.ask("POST", path, body, key)
        assert status == 201, (path, status, found)
        return found

    def _config(self, variables: dict[str, str]) -> Any:
        return {"kind": "terraform_module", "source": {"path": {"path": str(self._module)}}, "variables": variables}

    def _site(self, mark: str) -> Any:
        text = f"{mark} {{{{ inputs.colour }}}} on {{{{ components.base.outputs.text }}}}"
        return self._config({"text": text, "secret": "{{ inputs.secret }}"})

    # Load.

    def begin_load(self) -> list[threading.Thread]:
        """Clients that work until `end_load`."""
        tasks: list[tuple[Any, ...]] = [(self._customer, name) for name in CUSTOMERS]
        tasks += [(self._make_apps,), (self._make_releases,)]
        work = [threading.Thread(target=self._guard, args=task, name=task[0].__name__, daemon=True) for task in tasks]
        for thread in work:
            thread.start()
        return work

    def _guard(self, task: Any, *arguments: Any) -> None:
        try:
            task(self.caller(), *arguments)
        except Exception as error:  # told at the end: a client that died is a fault
            self.faults.append(f"{task.__name__}{arguments}: {error!r}")

    def _customer(self, caller: Caller, name: str) -> None:
        chance = random.Random(f"{name} {self.random.random()}")
        while not self._stopping.is_set():
            self._change_inputs(caller, name)
            deploy = self._deploy(caller, name)
            self._follow(caller, deploy, cancel_after=chance.randint(1, 6) if chance.random() < 0.25 else None)

    def _change_inputs(self, caller: Caller, name: str) -> None:
        colour = uuid.uuid4().hex
        answer = caller.send("PUT", f"/v1/installs/{name}", {"inputs": {"colour": colour}, "approval": CUSTOMERS[name]})
        found = answer[1] if answer else caller.get(f"/v1/installs/{name}")
        if answer:
            assert answer[0] == 200, answer
        if found["inputs"]["colour"] == colour:
            self.written.inputs[name].append((found["inputs_version"], colour))

    def _deploy(self, caller: Caller, name: str) -> Any:
        ready = [one for one in caller.get("/v1/releases?limit=1000")["items"] if one["status"] == "ready"]
        body = {"install_id": name, "release_id": ready[-1]["id"]}
        deploy = self._must(caller, "/v1/deploys", body)
        self.written.deploys[name].append(deploy["id"])
        return deploy

    def _follow(self, caller: Caller, deploy: Any, *, cancel_after: int | None = None) -> Any:
        give_up = time.monotonic() + FINISH_SECONDS
        looks = 0
        while deploy["ended_at"] is None:
            if not self._stopping.is_set():  # while things are killed, it may take as long as it likes
                give_up = time.monotonic() + FINISH_SECONDS
            assert time.monotonic() < give_up, f"{deploy['id']} doesn't end: {json.dumps(deploy)}"
            for step in deploy["steps"]:
                approval = step["approval"]
                if step["ended_at"] is None and approval and approval["decision"] is None:
                    self._approve(caller, deploy["id"], step["id"], approval["plan_digest"])
            looks += 1
            if looks == cancel_after:
                self._cancel(caller, deploy["id"], force=looks % 3 == 0)
            deploy = caller.get(f"/v1/deploys/{deploy['id']}?wait=1&seen={deploy['version']}")
        return deploy

    def _approve(self, caller: Caller, deploy: str, step: str, plan_digest: str) -> None:
        answer = caller.send("POST", f"/v1/deploys/{deploy}/steps/{step}/approve", {"plan_digest": plan_digest})
        if answer and answer[0] == 200:
            self.written.approvals.append(step)

    def _cancel(self, caller: Caller, deploy: str, *, force: bool) -> None:
        answer = caller.send("POST", f"/v1/deploys/{deploy}/cancel?force={str(force).lower()}")
        if answer and answer[0] == 200:
            self.written.cancels.append(deploy)

    def _make_apps(self, caller: Caller) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            name = f"app-{number}"
            self._must(caller, "/v1/apps", {"name": name})
            self.written.apps.append(name)
            self._stopping.wait(0.05)

    def _make_releases(self, caller: Caller) -> None:
        number = 0
        while not self._stopping.wait(3):
            number += 1
            caller.ask("PUT", "/v1/apps/load/components/site", {"config": self._site(str(number))})
            self.written.releases.append(self._must(caller, "/v1/releases", {"app_id": "load"})["id"])

    # Killing.

    def kill_at_random(self, kills: int) -> None:
        """SIGKILL to one program or several at a random moment, started again after another one, `kills` times."""
        caller = self.caller()
        begun = time.monotonic()
        victims = ["ims"] * 5 + ["agent"] * 5 + ["machine"] * 2 + ["builder"] + ["both"] * 2
        victims += ["postgresql"] * 3 if self._postgres else []
        while sum(self.kills.values()) < kills:
            assert not self.faults, self.faults
            if self.random.random() < 0.75:  # else whatever is starting is killed while it starts
                wait_for("the IMS", self._answers)
                customer = self._await_work(caller)
            else:
                customer = self.random.choice(list(CUSTOMERS))
            time.sleep(self.random.uniform(0, 1))
            self._kill(self.random.choice(victims), customer)
            print(f"{sum(self.kills.values())} kills, {len(self.written)} acknowledged writes", flush=True)
        self.seconds = time.monotonic() - begun

    def _await_work(self, caller: Caller) -> str:
        """Wait until an agent is at work, at an apply half of the times, so that kills hit something. Its customer, or any."""
        give_up = time.monotonic() + 12
        kinds = ("apply",) if self.random.random() < 0.5 else ("sync", "plan", "apply")
        while time.monotonic() < give_up:
            answer = caller.send("GET", "/v1/jobs?state=leased")
            for job in answer[1]["items"] if answer else []:
                if job["kind"] in kinds:
                    return self._installs[job["install_id"]]
            time.sleep(0.05)
        return self.random.choice(list(CUSTOMERS))

    def _kill(self, victim: str, name: str) -> None:
        down = self.random.uniform(0, 0.5)
        self.kills[victim] += 1
        if victim == "postgresql":
            assert self._postgres
            self._postgres.control("stop", "-m", "immediate")
            time.sleep(down)
            self._postgres.control("start", "-l", str(self._postgres.folder / "log"))
            return
        dead = {"both": ["ims", f"{name}/agent"], "ims": ["ims"], "builder": ["builder/agent"]}.get(victim, [f"{name}/agent"])
        for one in dead:
            process = self.stage.processes[one]
            by_itself = not process.alive() and not (one == "ims" and self._postgres)
            assert not by_itself, f"{one} ended by itself: {process.log.read_text()[-3000:]}"
            process.kill()
        if victim == "machine":
            self._kill_engines(self.stage.customer(name))
        time.sleep(down)
        for one in dead:
            if one == "ims":
                self._start_ims()
            elif one == "builder/agent":
                self._start_builder()
            else:
                self._start_agent(name)

    def _kill_engines(self, under: Path) -> None:
        for pid in self.engines(under):
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)

    def engines(self, under: Path) -> list[int]:
        """The engines that work in a folder, of all processes of this machine."""
        found = []
        for process in Path("/proc").iterdir():
            try:
                command = (process / "cmdline").read_text().split("\0")
                is_engine = str(self._engine) in command and "--engine" not in command  # which agents have
                if is_engine and (process / "cwd").readlink().is_relative_to(under):
                    found.append(int(process.name))
            except OSError:  # not a process, or one that has ended meanwhile
                continue
        return found

    # The end.

    def end_load(self, work: list[threading.Thread]) -> None:
        """No more kills: what was begun is brought to its end, and one more deploy of each install succeeds."""
        wait_for("the IMS", self._answers)
        self._stopping.set()
        for thread in work:
            thread.join(FINISH_SECONDS)
            assert not thread.is_alive(), f"{thread.name} doesn't end"
        assert not self.faults, self.faults
        caller = self.caller()
        wait_for("the builds", lambda: all(one["status"] != "building" for one in caller.all("/v1/releases")), seconds=600)
        last = {name: self._deploy(caller, name) for name in CUSTOMERS}
        for name, deploy in last.items():
            ended = self._follow(caller, deploy)
            assert ended["status"] == "succeeded", json.dumps(ended, indent=1)
            assert self.written.inputs[name][-1][1] in ended["outputs"]["site"]["text"]
        wait_for("the agents' reports", lambda: not list(self.folder.glob("customers/*/agent/journal/*.json")))

    def figures(self) -> str:
        """What was done, for people."""
        writes = len(self.written)
        kinds = ", ".join(f"{count} {victim}" for victim, count in sorted(self.kills.items()))
        jobs = ", ".join(f"{kind} {state} {count}" for (kind, state), count in sorted(self.jobs.items()))
        applies = ", ".join(f"{count} {what}" for what, count in sorted(self.ledger.items()))
        return (
            f"{sum(self.kills.values())} kills ({kinds}) in {self.seconds:.0f} s; {writes} acknowledged writes; "
            f"{sum(self.jobs.values())} jobs ({jobs}); applies: {applies}"
        )

    def close(self) -> None:
        """End everything that this run started."""
        self._stopping.set()
        for caller in self._callers:
            caller.close()
        self.stage.stop()
        self._kill_engines(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
