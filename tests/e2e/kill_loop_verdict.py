"""What must hold after the kills."""

import fcntl
import json
from collections import Counter
from pathlib import Path
from typing import Any

from kept_states import states
from kill_loop_calls import CUSTOMERS, Caller, Written
from stage import Stage

TERMINAL = ("succeeded", "failed", "cancelled", "skipped")


class Verdict:
    """The part of `KillLoop` that judges, by the IMS's answers, the engine's ledger and what lies on the disk."""

    folder: Path
    stage: Stage
    written: Written
    _engine: Path

    def verify(self) -> None:
        """Nothing that was acknowledged is lost, nothing was applied twice, nothing is left open."""
        caller = self.caller()
        events = caller.all("/v1/events")
        self._nothing_is_lost(caller, events)
        self._everything_has_ended(caller, events)
        self._nothing_was_applied_twice(caller)
        self._nothing_is_left_behind()
        verified = self.stage.exclave("events", "verify")
        assert verified.code == 0, verified.output
        logs = "".join(path.read_text() for path in (self.folder / "logs").iterdir())
        assert "canary" not in logs

    def _nothing_is_lost(self, caller: Caller, events: list[Any]) -> None:
        written = self.written
        done = Counter((event["action"], event["object_id"]) for event in events)
        apps = Counter(app["name"] for app in caller.all("/v1/apps"))
        assert apps == Counter(["load", *written.apps])
        assert {release["id"] for release in caller.all("/v1/releases")} == set(written.releases)
        deploys = caller.all("/v1/deploys")
        made = [deploy for ids in written.deploys.values() for deploy in ids]
        assert Counter(deploy["id"] for deploy in deploys) == Counter(made), "each create made one deploy"
        assert all(done["deploy.created", one] == 1 for one in made)
        assert all(done["deploy.cancel_requested", one] == 1 for one in written.cancels)
        assert all(done["approval.approved", step] for step in written.approvals)
        for name, versions in written.inputs.items():
            assert [version for version, _ in versions] == list(range(1, len(versions) + 1)), "each change made one version"
            install = caller.get(f"/v1/installs/{name}")
            assert (install["inputs_version"], install["inputs"]["colour"]) == versions[-1]

    def _everything_has_ended(self, caller: Caller, events: list[Any]) -> None:
        jobs = caller.all("/v1/jobs")
        assert [job for job in jobs if job["state"] not in TERMINAL] == []
        ends = Counter(event["object_id"] for event in events if event["action"] in [f"job.{state}" for state in TERMINAL])
        assert ends == Counter(job["id"] for job in jobs), "each job ended once"
        for deploy in caller.all("/v1/deploys"):
            assert deploy["status"] in TERMINAL, deploy
            assert [step for step in deploy["steps"] if step["status"] not in TERMINAL] == []
        assert {build["status"] for build in caller.all("/v1/builds")} <= set(TERMINAL)
        self.jobs = Counter((job["kind"], job["state"]) for job in jobs)

    def _nothing_was_applied_twice(self, caller: Caller) -> None:
        ledger = [json.loads(line) for line in self._engine.with_name("ledger.jsonl").read_text().splitlines()]
        self.ledger = Counter(line["what"] for line in ledger)
        assert self.ledger["overlap"] == 0, "two engines at once in one workspace"
        over: set[str] = set()
        for line in ledger:
            assert line["nonce"] not in over, f"begun again after its end: {line}"
            if line["what"] == "ended":
                over.add(line["nonce"])
        applied = [nonce for state in self._states() for nonce in json.loads(state)["applied"]]
        assert max(Counter(applied).values()) == 1
        assert over <= set(applied), "what was applied is in the state"
        # The other way round: what the IMS holds for applied has been.
        nonces: dict[str, set[str]] = {}
        for line in ledger:
            nonces.setdefault(Path(line["plan"]).parent.name, set()).add(line["nonce"])
        for deploy in caller.all("/v1/deploys"):
            plans = {step["component"]: step for step in deploy["steps"] if step["kind"] == "plan"}
            for step in deploy["steps"]:
                if step["kind"] == "apply" and step["status"] == "succeeded" and step["job_id"]:
                    begun = nonces.get(plans[step["component"]]["job_id"], set())
                    assert len(begun & set(applied)) == 1, (deploy["id"], step)

    def _states(self) -> list[bytes]:
        return [state for home in self.folder.glob("customers/*/agent") for state in states(home)]

    def _nothing_is_left_behind(self) -> None:
        assert self.engines(self.folder) == [], "engines without an agent"
        locks = list(self.folder.glob("customers/*/agent/components/*/lock"))
        assert len(locks) == 2 * len(CUSTOMERS)
        for lock in locks:
            with lock.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if anybody holds it
