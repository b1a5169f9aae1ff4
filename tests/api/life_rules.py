"""What holds at every moment of the life of jobs and deploys, and what the history says of it at the end."""

from collections import Counter
from itertools import pairwise

from ims_driver import Body

OPEN_STEPS = {"waiting", "ready", "running", "unknown"}
AT_WORK = {"ready", "running", "unknown"}
OPEN_JOBS = {"queued", "leased", "unknown"}
DONE = {"succeeded", "skipped"}
CHANGES = {"apply": "plan", "destroy": "plan_destroy"}
"""The kinds of steps that change a customer's account, and whose plan each carries out."""


class Seen:
    """What the agents were given and have reported, as they remember it."""

    def __init__(self) -> None:
        self.attempts: dict[str, int] = {}
        """The highest attempt of each job that anybody was given."""
        self.ended: dict[str, str] = {}
        """How the last attempt of each job ended whose report was taken."""
        self.plans: dict[tuple[str, str, str], Body] = {}
        """The last plan of each component in each deploy, by kind, as its agent reported it."""
        self.approved: set[tuple[str, str, str]] = set()
        """Deploy, component and digest of each plan that somebody said yes to."""
        self.steps: dict[str, list[str]] = {}
        """The steps of each deploy when it was first seen."""

    def leased(self, lease: Body) -> None:
        """An agent was given a job: a new attempt, and if it changes anything, the very plan that was made and approved."""
        job, payload = lease["job_id"], lease["payload"]
        assert lease["attempt"] > self.attempts.get(job, 0), "an attempt was given twice"
        assert payload["kind"] not in CHANGES or lease["attempt"] == 1, "what may have changed something was offered again"
        assert job not in self.ended or self.ended[job] == "failed", f"{job} is offered again: it had {self.ended[job]}"
        self.attempts[job] = lease["attempt"]
        if payload["kind"] in CHANGES:
            plan = self.plans[payload["deploy_id"], payload["component"], CHANGES[payload["kind"]]]
            assert payload["plan_digest"] == plan["plan_digest"], "it is told to apply another plan than the last one"
            answered = (payload["deploy_id"], payload["component"], plan["plan_digest"]) in self.approved
            assert payload["approval"] == "auto" or answered or not plan["summary"]["add"], "nobody approved this plan"

    def reported(self, lease: Body, outcome: str, report: Body) -> None:
        """The report of a current attempt was taken."""
        payload = lease["payload"]
        self.ended[lease["job_id"]] = outcome
        if outcome == "succeeded" and payload["kind"] in CHANGES.values():
            self.plans[payload["deploy_id"], payload["component"], payload["kind"]] = report["result"]

    def recorded_once(self, history: list[Body], deploys: list[Body], jobs: dict[str, Body]) -> None:
        """At the end, the history has one line on how each job and each deploy ended, and it says what the agent reported."""
        assert [line["seq"] for line in history] == list(range(1, len(history) + 1)), "a line of the history is missing"
        assert all(before["hash"] == after["previous_hash"] for before, after in pairwise(history))
        late = {line["object_id"]: line["after"]["outcome"] for line in history if line["action"] == "job.reported_late"}
        assert {job: jobs[job]["state"] for job in late} == late
        states = {one["id"]: "failed" if one["id"] in late else one["state"] for one in jobs.values()}
        for kind, ended in (("job", states), ("deploy", _statuses(deploys))):
            words = {f"{kind}.{word}" for word in ("succeeded", "failed", "cancelled")}
            lines = Counter((line["object_id"], line["action"]) for line in history if line["action"] in words)
            said = {(name, f"{kind}.{word}"): 1 for name, word in ended.items()}
            assert {key: count for key, count in lines.items() if key[0] in ended} == said
        for job, outcome in self.ended.items():
            if jobs[job]["attempt"] == self.attempts[job] and outcome != "failed":
                assert jobs[job]["state"] == outcome, f"{job} {jobs[job]['state']}, but its agent said {outcome}"


def _statuses(deploys: list[Body]) -> dict[str, str]:
    return {deploy["id"]: deploy["status"] for deploy in deploys}


def check(deploys: list[Body], jobs: dict[str, Body], seen: Seen) -> None:
    """What must hold of everything that there is."""
    for deploy in deploys:
        _check_steps(deploy, jobs)
        known = seen.steps.setdefault(deploy["id"], [step["id"] for step in deploy["steps"]])
        assert [step["id"] for step in deploy["steps"]] == known, "a step is lost"
    under_way = Counter(deploy["install_id"] for deploy in deploys if deploy["ended_at"] is None and deploy["kind"] != "drift")
    assert all(count == 1 for count in under_way.values()), "two deploys are under way on one install"
    changing = Counter(
        (deploy["install_id"], step["component"])
        for deploy in deploys
        for step in deploy["steps"]
        if step["kind"] in CHANGES and step["job_id"] and jobs[step["job_id"]]["state"] in OPEN_JOBS
    )
    assert all(count == 1 for count in changing.values()), f"two jobs change one component: {changing}"


def _check_steps(deploy: Body, jobs: dict[str, Body]) -> None:
    steps = {step["id"]: step for step in deploy["steps"]}
    for step in steps.values():
        needed = [steps[need] for need in step["needs"]]
        name = f"{step['component']} {step['kind']}"
        asks = step["approval"] and step["status"] == "waiting"
        if step["status"] in AT_WORK or asks:
            assert asks or jobs[step["job_id"]]["state"] in OPEN_JOBS
            assert {need["status"] for need in needed} <= DONE, f"{name} runs before what it needs"
        elif step["job_id"]:
            assert jobs[step["job_id"]]["state"] not in OPEN_JOBS or step["status"] == "waiting", step
        if step["status"] == "waiting" and not asks:
            assert any(need["status"] in OPEN_STEPS for need in needed), f"{name} waits for nothing: it is lost"
        if step["status"] in (*OPEN_STEPS, "succeeded"):
            assert not any(_left_out(need) for need in needed), f"{name} is not left out with what it needs"
        if step["status"] == "succeeded":
            assert not any(need["status"] in (*OPEN_STEPS, "failed") for need in needed), f"{name} went before what it needs"
    still_open = [step for step in steps.values() if step["status"] in OPEN_STEPS]
    assert bool(still_open) == (deploy["ended_at"] is None), "a deploy ends when its last step does, and not before"


def _left_out(step: Body) -> bool:
    return step["status"] == "skipped" and step["failure"] is not None and step["failure"]["code"] == "left_out"
