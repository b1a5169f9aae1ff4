"""A fleet for Hypothesis to play with: what people, agents and time may do to jobs and deploys, in any order."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ims_driver import INTERVALS, Body, Clock, Ims, running_ims
from life_rules import CHANGES, OPEN_JOBS, OPEN_STEPS, Seen, check
from opened import Opened
from shop import SERVICE, Shop, applied, module, planned, sha, usual

LOST = (INTERVALS.lease + 1, INTERVALS.unknown_before_requeue + 1)
"""After the first jump a lease has expired, after the second its job is offered again."""
INSTALLS = {"acme": "auto", "bolt": "vendor", "coast": "customer"}
OUTCOMES = (*["succeeded"] * 6, "broken", "flaky", "flaky", "interrupted", "cancelled")
installs = st.sampled_from(sorted(INSTALLS))


@contextlib.contextmanager
def opened_fleet(opened: tuple[Opened, Shop], data: Path) -> Iterator["Fleet"]:
    """The shop, with a second release that has one component more, and three installs of it with an agent each."""

    async def build(url: str | None) -> tuple[Shop, list[str]]:
        async with running_ims(data, Clock(), opened[1].ims.token, database_url=url) as ims:
            shop = Shop(ims, replace(opened[1].builder, ims=ims), opened[1].release)
            await shop.builder.sign_in()
            await ims.ok("POST", "/v1/apps/shop/components", {"name": "assets", "config": module(path="/src/assets")})
            await shop.change("service", module({**SERVICE, "size": "{{ inputs.size }}"}, path="/src/service", digest="2"))
            second = await shop.new_release()
            for name, approval in INSTALLS.items():
                await shop.install(name, approval=approval, inputs={"size": 1})
            return shop, [shop.release["id"], second["id"]]

    with opened[0].copied(data) as url:
        shop, releases = asyncio.run(build(url))
        yield Fleet(Opened(data, url, opened[0].server), shop, releases)


class Fleet:
    """The data to begin each life with, and who is in it."""

    def __init__(self, opened: Opened, shop: Shop, releases: list[str]) -> None:
        self.opened = opened
        self.token = shop.ims.token
        self.releases = releases
        self.agents = shop.agents


class LifeOfJobs(RuleBasedStateMachine):
    """Agents on installs, people who deploy, answer, retry, skip and cancel, time that passes, and an IMS that is restarted."""

    fleet: Fleet

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = contextlib.ExitStack()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.held: list[tuple[str, Body]] = []
        """Every lease that an install's agent was given and hasn't ended, as the agent believes."""
        self.seen = Seen()

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """A request whose answer may be a refusal."""
        return self.run(self.ims.send(method, path, body, **more))

    def get(self, path: str, **params: Any) -> Any:
        return self.run(self.ims.ok("GET", path, params={"limit": 1000, **params} if path.endswith("s") else params))

    @initialize()
    def open(self) -> None:
        self.url = self.stack.enter_context(self.fleet.opened.copied(self.folder / "ims"))
        self.agents = {name: replace(agent) for name, agent in self.fleet.agents.items()}
        self.start()
        self.id_of = {install["name"]: install["id"] for install in self.get("/v1/installs")["items"]}
        for name in INSTALLS:
            self.begin(name, "deploy", 1)

    def start(self) -> None:
        self.running = running_ims(self.folder / "ims", self.clock, self.fleet.token, database_url=self.url)
        self.ims: Ims = self.run(self.running.__aenter__())
        for agent in self.agents.values():
            agent.ims = self.ims
        self.sign_in_again()

    def sign_in_again(self) -> None:
        # Access tokens have run out, perhaps.
        for agent in self.agents.values():
            self.run(agent.sign_in())

    def deploys(self) -> list[Body]:
        return [*self.get("/v1/deploys")["items"], *self.get("/v1/deploys", kind="drift")["items"]]

    def under_way(self, install_id: str | None = None) -> list[Body]:
        """Deploys that haven't ended; a drift run isn't one."""
        found = [deploy for deploy in self.get("/v1/deploys")["items"] if deploy["ended_at"] is None]
        return [deploy for deploy in found if install_id in (None, deploy["install_id"])]

    def jobs(self) -> dict[str, Body]:
        return {job["id"]: job for job in self.get("/v1/jobs")["items"]}

    # What people do

    @rule(name=installs, kind=st.sampled_from(("deploy", "deploy", "deploy", "teardown")), release=st.integers(0, 1))
    def begin(self, name: str, kind: str, release: int) -> None:
        body = {"install_id": name, "kind": kind, "release_id": self.fleet.releases[release] if kind == "deploy" else None}
        expected = 409 if self.under_way(self.id_of[name]) else 201
        answer = self.ask("POST", "/v1/deploys", body)
        assert answer.status_code == expected, answer.text

    @rule(name=installs, size=st.integers(1, 3), drift=st.sampled_from((None, 1)), hours=st.sampled_from((None, 2)))
    def change_install(self, name: str, size: int, drift: int | None, hours: int | None) -> None:
        settings = {"approval": INSTALLS[name], "drift_check_hours": drift, "approval_timeout_hours": hours}
        self.run(self.ims.ok("PUT", f"/v1/installs/{name}", {"inputs": {"size": size}, **settings}))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if running := self.under_way():
            chosen = data.draw(st.sampled_from(running))
            self.run(self.ims.ok("POST", f"/v1/deploys/{chosen['id']}/cancel"))

    @rule(data=st.data(), step=st.integers(0, 20), verb=st.sampled_from(("skip", "skip", "retry")))
    def intervene(self, data: st.DataObject, step: int, verb: str) -> None:
        """Retry a step, or leave its component out: allowed exactly when it makes sense."""
        if not (running := [deploy for deploy in self.under_way() if deploy["steps"]]):
            return
        deploy = data.draw(st.sampled_from(running))
        chosen = deploy["steps"][step % len(deploy["steps"])]
        mine = [one for one in deploy["steps"] if one["component"] == chosen["component"]]
        at_work = any(one["status"] in ("running", "unknown") for one in mine)
        allowed = {
            "retry": chosen["status"] == "failed",
            "skip": not at_work and any(one["status"] in OPEN_STEPS for one in mine),
        }[verb] and deploy["status"] == "running"
        answer = self.ask("POST", f"/v1/deploys/{deploy['id']}/steps/{chosen['id']}/{verb}", {} if verb == "skip" else None)
        assert answer.status_code == (200 if allowed else 409), answer.text
        if allowed:
            after = {one["id"]: one["status"] for one in answer.json()["steps"]}
            again = ("waiting", "ready") if verb == "retry" else ("skipped", "succeeded", "failed", "cancelled")
            assert all(after[one["id"]] in again for one in (mine if verb == "skip" else [chosen]))

    @rule(name=installs, verb=st.sampled_from(("rollback", "retry", "drift", "drift")))
    def begin_otherwise(self, name: str, verb: str) -> None:
        """A rollback, a deploy again, a drift run: refused while a deploy is under way, or for want of anything to do."""
        busy = self.under_way(self.id_of[name])
        path = f"/v1/installs/{name}/{verb}"
        if verb == "retry":
            last = [deploy for deploy in self.get("/v1/deploys", install=name)["items"] if deploy["ended_at"]]
            if not last:
                return
            path = f"/v1/deploys/{last[-1]['id']}/retry"
        answer = self.ask("POST", path, {} if verb == "rollback" else None)
        allowed = {409} if busy else {201} if verb == "retry" else {201, 409}
        assert answer.status_code in allowed, answer.text

    @rule(data=st.data(), decision=st.sampled_from(("approve", "approve", "approve", "reject")))
    def answer(self, data: st.DataObject, decision: str) -> None:
        if waiting := [(deploy, step) for deploy in self.under_way() for step in deploy["steps"] if asks(step)]:
            self.decide(*data.draw(st.sampled_from(waiting)), decision)

    def decide(self, deploy: Body, step: Body, decision: str) -> None:
        """Vendor and customer both answer, first to another plan: nobody has a say there, and here only one of them."""
        name = next(name for name, install_id in self.id_of.items() if install_id == deploy["install_id"])
        path = f"deploys/{deploy['id']}/steps/{step['id']}"
        digest, by_customer = step["approval"]["plan_digest"], step["approval"]["approver"] == "customer"
        said = {"decision": "approved" if decision == "approve" else "rejected"}
        for plan, taken in ((sha("another plan"), 409), (digest, None)):
            body = {"plan_digest": plan}
            answer = self.ask("POST", f"/v1/agent/{path}/approval", said | body, token=self.agents[name].token)
            assert answer.status_code == ((taken or 204) if by_customer else 403), answer.text
            if not by_customer or decision == "approve":
                answer = self.ask("POST", f"/v1/{path}/{decision}", body)
                assert answer.status_code == (403 if by_customer else (taken or 200)), answer.text
        if decision == "approve":
            self.seen.approved.add((deploy["id"], step["component"], digest))

    # What agents do

    @rule(name=installs, all_there_are=st.booleans())
    def lease(self, name: str, all_there_are: bool) -> None:
        # The scripted agent doesn't say what it holds, so a lease that it was given stays its own.
        while lease := self.run(self.agents[name].lease()):
            self.seen.leased(lease)
            self.held.append((name, lease))
            if not all_there_are:
                break

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        name, lease = data.draw(st.sampled_from(self.held))
        fresh = self.is_current(lease) or self.is_given_up(lease)
        answer = self.run(self.agents[name].heartbeat(lease))
        assert answer.status_code == (200 if fresh else 409), answer.text

    @precondition(lambda self: self.held)
    @rule(outcome=st.sampled_from(OUTCOMES), changes=st.integers(0, 1), data=st.data())
    def finish(self, outcome: str, changes: int, data: st.DataObject) -> None:
        self.report(data.draw(st.sampled_from(self.held)), outcome, changes)

    @rule(name=installs, changes=st.integers(0, 1))
    def work(self, name: str, changes: int) -> None:
        """The agent does all that it can, well."""
        self.lease(name, True)
        while mine := [held for held in self.held if held[0] == name]:
            for held in mine:
                self.report(held, "succeeded", changes)
            self.lease(name, True)

    def report(self, held: tuple[str, Body], outcome: str, changes: int) -> None:
        name, lease = held
        fresh = self.is_current(lease) or self.is_given_up(lease)
        if outcome in ("succeeded", "cancelled"):
            more: Body = {"result": self.result(lease, changes)} if outcome == "succeeded" else {}
        else:
            code = "apply_interrupted" if outcome == "interrupted" else outcome
            more = {"failure": {"code": code, "message": "no", "retryable": outcome == "flaky"}}
            outcome = "failed"
        answer = self.run(self.agents[name].report(lease, outcome, **more))
        assert answer.status_code == (204 if fresh else 409), answer.text
        self.held.remove(held)
        if not fresh:
            return
        self.seen.reported(lease, outcome, more)
        again = self.run(self.agents[name].report(lease, outcome, **more))
        retried = outcome == "failed" and more["failure"]["retryable"]
        assert again.status_code == 204 or retried, "the same report again isn't harmless"

    def result(self, lease: Body, changes: int) -> Body:
        """Each plan has a digest of its own."""
        match lease["payload"]["kind"]:
            case "plan" | "plan_destroy":
                return planned(add=changes) | {"plan_digest": sha(f"{lease['job_id']} {lease['attempt']}")}
            case "apply":
                return applied({"id": f"{lease['payload']['component']}-{changes}"}, changed=bool(changes))
            case _:
                return usual(lease["payload"])

    def is_current(self, lease: Body) -> bool:
        job = self.get(f"/v1/jobs/{lease['job_id']}")
        return bool(job["attempt"] == lease["attempt"] and job["state"] in ("leased", "unknown"))

    def is_given_up(self, lease: Body) -> bool:
        """What changes the account has one attempt, whose report is taken however late it comes."""
        job = self.get(f"/v1/jobs/{lease['job_id']}")
        lost = job["state"] == "failed" and job["failure"]["code"] == "agent_lost"
        return bool(lost and job["attempt"] == lease["attempt"] and job["kind"] in CHANGES)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def come_back_late(self, data: st.DataObject) -> None:
        """Nothing is heard of an agent until its job is offered again, and taken; then its old report arrives."""
        self.report_late(data.draw(st.sampled_from(self.held)))

    def report_late(self, held: tuple[str, Body]) -> None:
        self.time_passes(LOST)
        self.lease(held[0], True)
        self.report(held, "succeeded", 1)

    @precondition(lambda self: self.held)
    @rule(name=installs)
    def restart_agent(self, name: str) -> None:
        """A new process of the same agent signs in, and takes up what its journal says."""
        self.run(self.agents[name].sign_in())
        for held in [held for held in self.held if held[0] == name]:
            known = {"job_id": held[1]["job_id"], "attempt": held[1]["attempt"]}
            fresh = self.is_current(held[1])
            body = {"wait_seconds": 0, "resume": known}
            answer = self.ask("POST", "/v1/agent/lease", body, token=self.agents[name].token)
            assert answer.status_code == (200 if fresh else 409), answer.text
            if not fresh:
                self.held.remove(held)

    # What happens

    @rule(jumps=st.sampled_from(((1,), (10,), LOST[:1], LOST, LOST, (3700, 3700))))
    def time_passes(self, jumps: tuple[float, ...]) -> None:
        for seconds in jumps:
            self.run(self.ims.pass_time(seconds))
        self.sign_in_again()
        overdue = [job for job in self.jobs().values() if job["state"] == "leased" and _before(job["lease_until"], self.clock)]
        assert not overdue, "a lease that has run out was not noticed"

    @rule()
    def restart_the_ims(self) -> None:
        self.run(self.running.__aexit__(None, None, None))
        self.start()

    @invariant()
    def the_rules_hold(self) -> None:
        if hasattr(self, "ims"):
            check(self.deploys(), self.jobs(), self.seen)

    def teardown(self) -> None:
        try:
            if hasattr(self, "ims"):
                self.everything_ends()
                self.run(self.running.__aexit__(None, None, None))
                self.stack.close()
        finally:
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def everything_ends(self) -> None:
        """Nothing is left for ever: with agents that do their work, answers, and time, every job and every deploy ends."""
        for name in INSTALLS:
            settings = {"approval": INSTALLS[name], "drift_check_hours": None}
            self.run(self.ims.ok("PUT", f"/v1/installs/{name}", settings))
            self.lease(name, True)
        if self.held:
            self.report_late(self.held[0])
        for held in [held for held in self.held if held[1]["payload"]["kind"] in CHANGES]:
            self.report(held, "flaky", 1)
        for _ in range(40):
            self.run(self.ims.pass_time(3700))
            self.sign_in_again()
            for name in INSTALLS:
                self.work(name, 1)
            for deploy in self.under_way():
                for step in filter(asks, deploy["steps"]):
                    self.decide(deploy, step, "approve")
            self.the_rules_hold()
            if all(deploy["ended_at"] for deploy in self.deploys()):
                break
        assert [deploy["id"] for deploy in self.deploys() if deploy["ended_at"] is None] == []
        assert [job["id"] for job in self.jobs().values() if job["state"] in OPEN_JOBS] == []
        assert self.run(self.ims.chain_is_whole())
        self.seen.recorded_once(self.history(), self.deploys(), self.jobs())

    def history(self) -> list[Body]:
        lines: list[Body] = []
        after = None
        while True:
            page = self.run(self.ims.ok("GET", "/v1/events", params={"limit": 1000, **({"after": after} if after else {})}))
            lines += page["items"]
            after = page["after"]
            if not after:
                return lines


def asks(step: Body) -> bool:
    """Whether a step waits for somebody's answer."""
    return bool(step["approval"] and step["status"] == "waiting" and step["approval"]["decision"] is None)


def _before(at: str, clock: Clock) -> bool:
    return at < clock().isoformat().replace("+00:00", "Z")
