"""Whatever happens in whatever order, the rules of jobs and deploys hold. Hypothesis chooses what happens."""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from ims_driver import INTERVALS, Agent, Body, Clock, Ims, running_ims
from opened import Opened
from shop import Shop, usual

OPEN_STEPS = {"waiting", "ready", "running", "unknown"}
OPEN_JOBS = {"queued", "leased", "unknown"}
DONE = {"succeeded", "skipped"}
LOST = (INTERVALS.lease + 1, INTERVALS.unknown_before_requeue + 1)
"""After the first jump a lease has expired, after the second its job is offered again."""
INSTALLS = ("acme", "bolt")
OUTCOMES = (*["succeeded"] * 6, "broken", "flaky", "flaky", "interrupted", "cancelled")


class LifeOfJobs(RuleBasedStateMachine):
    """Two installs, an agent on each, people who deploy and cancel, time that passes, and an IMS that is started anew."""

    opened: tuple[Opened, Shop]
    """The data of a shop to begin with, and the shop."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = contextlib.AsyncExitStack()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.held: list[tuple[str, Body]] = []
        """Every lease that an install's agent was given and hasn't ended, as the agent believes."""
        self.current: dict[str, int] = {}
        """The highest attempt of each job that anybody was given."""

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    @initialize()
    def open(self) -> None:
        opened, shop = self.opened
        copied = contextlib.ExitStack()
        self.url = copied.enter_context(opened.copied(self.folder / "ims"))
        self.stack.callback(copied.close)
        self.token = shop.ims.token
        self.run(self.start())
        self.shop = Shop(self.ims, shop.builder, shop.release)
        for name in INSTALLS:
            self.run(self.shop.install(name))
            self.run(self.shop.begin(name))

    async def start(self) -> None:
        self.running = running_ims(self.folder / "ims", self.clock, self.token, database_url=self.url)
        self.ims: Ims = await self.running.__aenter__()

    def agent(self, name: str) -> Agent:
        return self.shop.agents[name]

    def deploys(self) -> list[Body]:
        found: list[Body] = self.run(self.ims.ok("GET", "/v1/deploys", params={"limit": 1000}))["items"]
        return found

    def jobs(self) -> list[Body]:
        found: list[Body] = self.run(self.ims.ok("GET", "/v1/jobs", params={"limit": 1000}))["items"]
        return found

    # What people do

    @rule(name=st.sampled_from(INSTALLS), kind=st.sampled_from(("deploy", "deploy", "teardown")))
    def begin(self, name: str, kind: str) -> None:
        body = {"install_id": name, "kind": kind, "release_id": self.shop.release["id"] if kind == "deploy" else None}
        running = [
            deploy for deploy in self.deploys() if deploy["ended_at"] is None and deploy["install_id"] == self.id_of(name)
        ]
        answer = self.run(self.ims.send("POST", "/v1/deploys", body))
        assert answer.status_code == (409 if running else 201), answer.text

    def id_of(self, name: str) -> str:
        found: str = self.run(self.ims.ok("GET", f"/v1/installs/{name}"))["id"]
        return found

    @rule(name=st.sampled_from(INSTALLS), size=st.integers(1, 3))
    def change_inputs(self, name: str, size: int) -> None:
        self.run(self.ims.ok("PUT", f"/v1/installs/{name}", {"inputs": {"size": size}}))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        running = [deploy["id"] for deploy in self.deploys() if deploy["ended_at"] is None]
        if running:
            chosen = data.draw(st.sampled_from(running))
            self.run(self.ims.ok("POST", f"/v1/deploys/{chosen}/cancel"))

    # What agents do

    @rule()
    def lease(self) -> None:
        # The scripted agent doesn't say what it holds, so a lease that it was given stays its own.
        for name in INSTALLS:
            while lease := self.run(self.agent(name).lease()):
                assert lease["attempt"] > self.current.get(lease["job_id"], 0), "an attempt was given twice"
                self.current[lease["job_id"]] = lease["attempt"]
                self.held.append((name, lease))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        name, lease = data.draw(st.sampled_from(self.held))
        fresh = self.is_current(lease)
        answer = self.run(self.agent(name).heartbeat(lease))
        assert answer.status_code == (200 if fresh else 409), answer.text

    @precondition(lambda self: self.held)
    @rule(outcome=st.sampled_from(OUTCOMES), data=st.data())
    def finish(self, outcome: str, data: st.DataObject) -> None:
        name, lease = held = data.draw(st.sampled_from(self.held))
        fresh = self.is_current(lease)
        if outcome in ("succeeded", "cancelled"):
            more: Body = {"result": usual(lease["payload"])} if outcome == "succeeded" else {}
        else:
            code = "apply_interrupted" if outcome == "interrupted" else outcome
            more = {"failure": {"code": code, "message": "no", "retryable": outcome == "flaky"}}
            outcome = "failed"
        answer = self.run(self.agent(name).report(lease, outcome, **more))
        assert answer.status_code == (204 if fresh else 409), answer.text
        if fresh:
            again = self.run(self.agent(name).report(lease, outcome, **more))
            retried = outcome == "failed" and more["failure"]["retryable"]
            assert again.status_code == 204 or retried, "the same report again isn't harmless"
        self.held.remove(held)

    def is_current(self, lease: Body) -> bool:
        job = self.run(self.ims.ok("GET", f"/v1/jobs/{lease['job_id']}"))
        return bool(job["attempt"] == lease["attempt"] and job["state"] in ("leased", "unknown"))

    @precondition(lambda self: self.held)
    @rule(name=st.sampled_from(INSTALLS))
    def restart_agent(self, name: str) -> None:
        """A new process of the same agent signs in, and takes up what its journal says."""
        self.run(self.agent(name).sign_in())
        for held in [held for held in self.held if held[0] == name]:
            known = {"job_id": held[1]["job_id"], "attempt": held[1]["attempt"]}
            fresh = self.is_current(held[1])
            body = {"wait_seconds": 0, "resume": known}
            answer = self.run(self.ims.send("POST", "/v1/agent/lease", body, token=self.agent(name).token))
            assert answer.status_code == (200 if fresh else 409), answer.text
            if not fresh:
                self.held.remove(held)

    # What happens

    @rule(jumps=st.sampled_from(((1,), (10,), LOST[:1], LOST, LOST, (3700, 3700))))
    def time_passes(self, jumps: tuple[float, ...]) -> None:
        for seconds in jumps:
            self.run(self.ims.pass_time(seconds))
        self.sign_in_again()

    def sign_in_again(self) -> None:
        # Access tokens have run out, perhaps.
        for name in INSTALLS:
            self.run(self.agent(name).sign_in())

    @rule()
    def restart_the_ims(self) -> None:
        self.run(self.running.__aexit__(None, None, None))
        self.run(self.start())
        for agent in self.shop.agents.values():
            agent.ims = self.ims

    # What must always hold

    @invariant()
    def the_rules_hold(self) -> None:
        if not hasattr(self, "ims"):
            return
        jobs = {job["id"]: job for job in self.jobs()}
        for deploy in self.deploys():
            steps = {step["id"]: step for step in deploy["steps"]}
            for step in steps.values():
                if step["status"] in ("ready", "running", "unknown"):
                    assert jobs[step["job_id"]]["state"] in OPEN_JOBS
                    needed = {steps[need]["status"] for need in step["needs"]}
                    assert needed <= DONE, f"{step['component']} {step['kind']} runs before what it needs: {needed}"
                elif step["job_id"]:
                    assert jobs[step["job_id"]]["state"] not in OPEN_JOBS or step["status"] == "waiting", step
            still_open = [step for step in steps.values() if step["status"] in OPEN_STEPS]
            assert bool(still_open) == (deploy["ended_at"] is None), "a deploy ends when its last step does, and not before"
        assert self.run(self.ims.chain_is_whole())

    def teardown(self) -> None:
        try:
            if hasattr(self, "ims"):
                self.everything_ends()
                self.run(self.running.__aexit__(None, None, None))
                self.run(self.stack.aclose())
        finally:
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def everything_ends(self) -> None:
        """Nothing is left for ever: with agents that do their work, and time, every job and every deploy ends."""
        for _ in range(40):
            self.run(self.ims.pass_time(3700))
            self.sign_in_again()
            for name in INSTALLS:
                self.run(self.agent(name).work(usual))
            if all(deploy["ended_at"] for deploy in self.deploys()):
                break
        assert [deploy["id"] for deploy in self.deploys() if deploy["ended_at"] is None] == []
        assert [job["id"] for job in self.jobs() if job["state"] in OPEN_JOBS] == []


@pytest.mark.timeout(900)
def test_the_rules_of_jobs_and_deploys_hold_whatever_happens(opened_shop: Any, request: pytest.FixtureRequest) -> None:
    LifeOfJobs.opened = opened_shop
    examples = int(request.config.getoption("--examples"))
    run_state_machine_as_test(
        LifeOfJobs,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
