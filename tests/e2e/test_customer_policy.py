"""The customer's own rules, on the agent's machine: the vendor sees which one refused a deploy, and the ledger tells it all."""

import json
from collections.abc import Iterator

import pytest
from small_app import DEPLOYED, MAIN, SmallApp, open_stage
from stage import Stage, wait_for

DEPLOYMENT = DEPLOYED[DEPLOYED.index('resource "exclave_deployment"') :]
POLICY = """\
version: 1
rules:
  - name: nothing is lost
    message: Call +49 30 4711.
    types: [terraform_data]
    actions: [delete, replace]
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("vendor")) as stage:
        yield stage


def test_a_customers_rules_pause_and_ledger(stage: Stage) -> None:
    app = SmallApp.write(stage, "castle", MAIN + DEPLOYED.replace(DEPLOYMENT, ""))
    app.apply(join=True)
    home = stage.customer("castle") / "agent"
    release = app.releases()[-1]["id"]

    def deployed(teardown: bool = False) -> dict:
        """How a deploy, or the teardown, ends."""
        if teardown:
            stage.exclave("deploys", "teardown", "castle", "--yes")
            deploy = stage.get("/v1/deploys?order=desc&limit=1")["items"][0]["id"]
        else:
            deploy = stage.post("/v1/deploys", {"install_id": "castle", "release_id": release})["id"]
        wait_for("the end", lambda: stage.get(f"/v1/deploys/{deploy}")["ended_at"], seconds=90)
        return stage.get(f"/v1/deploys/{deploy}")

    wait_for("the agent", lambda: (home / "identity.json").exists(), seconds=60)
    (home / "policy.yaml").write_text(POLICY)
    assert stage.exclave("agent", "policy", "check", str(home / "policy.yaml")).code == 0

    assert stage.exclave("agent", "pause", "--home", str(home), "--reason", "an incident").code == 0
    paused = deployed()
    assert paused["status"] == "failed"
    assert (paused["failure"]["code"], "an incident" in paused["failure"]["message"]) == ("refused_by_policy", True)
    assert stage.exclave("agent", "resume", "--home", str(home)).code == 0
    assert deployed()["status"] == "succeeded"

    refused = deployed(teardown=True)
    assert refused["status"] == "failed"
    assert refused["failure"]["code"] == "refused_by_policy"
    assert "rule 'nothing is lost': Call +49 30 4711 (terraform_data.part)" in refused["failure"]["message"]

    checked = stage.exclave("agent", "ledger", "verify", "--home", str(home))
    assert checked.code == 0, checked.output
    assert "the chain holds" in checked.output
    shown = stage.exclave("agent", "ledger", "show", "--home", str(home), "--json", "--last", "200").output
    events = [json.loads(line)["event"] for line in shown.splitlines()]
    assert events[:2] == ["checkpoint", "agent.started"]
    wanted = {"agent.paused", "agent.resumed", "job.taken", "artifact.verified", "plan.saved", "plan.begun", "job.ended"}
    assert wanted <= set(events)
