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

    def begin(teardown: bool = False) -> str:
        """A deploy, or the teardown, that has just been made."""
        if not teardown:
            return stage.post("/v1/deploys", {"install_id": "castle", "release_id": release})["id"]
        return stage.post("/v1/deploys", {"install_id": "castle", "kind": "teardown"})["id"]

    def ended(deploy: str) -> dict:
        wait_for("the end", lambda: stage.get(f"/v1/deploys/{deploy}")["ended_at"])
        return stage.get(f"/v1/deploys/{deploy}")

    def deployed(teardown: bool = False) -> dict:
        """How a deploy, or the teardown, ends."""
        return ended(begin(teardown))

    def waiting(deploy: str) -> dict | None:
        steps = stage.get(f"/v1/deploys/{deploy}")["steps"]
        return next((step for step in steps if step["approval"] and step["status"] == "waiting"), None)

    wait_for("the agent", lambda: any("agent.started" in file.read_text() for file in (home / "ledger").glob("*.jsonl")))
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

    # The install approves by itself; the customer's rule asks all the same, and the deploy waits for them.
    (home / "policy.yaml").write_text(POLICY.replace("    message:", "    effect: ask\n    message:"))
    asked = begin(teardown=True)
    step = wait_for("the question", lambda: waiting(asked))
    assert "waiting for the customer's approval" in step["waiting_for"]
    assert "rule 'nothing is lost': Call +49 30 4711 (terraform_data.part)" in step["waiting_for"]
    for component in ("site", "base"):
        wait_for("the question", lambda name=component: (waiting(asked) or {}).get("component") == name)
        said = stage.exclave("agent", "approve", asked, "--home", str(home), "--yes")
        assert said.code == 0, said.output
        assert "Your policy asks you: rule 'nothing is lost'" in said.output
    assert ended(asked)["status"] == "succeeded"

    checked = stage.exclave("agent", "ledger", "verify", "--home", str(home))
    assert checked.code == 0, checked.output
    assert "the chain holds" in checked.output
    shown = stage.exclave("agent", "ledger", "show", "--home", str(home), "--json", "--last", "200").output
    events = [json.loads(line)["event"] for line in shown.splitlines()]
    assert events[:2] == ["checkpoint", "agent.started"]
    wanted = {"agent.paused", "agent.resumed", "job.taken", "artifact.verified", "plan.saved", "plan.begun", "job.ended"}
    assert wanted <= set(events)


def test_a_customer_who_runs_signed_releases_alone(stage: Stage) -> None:
    app = SmallApp.write(stage, "keep", MAIN + DEPLOYED.replace(DEPLOYMENT, ""))
    app.apply(join=True)
    home = stage.customer("keep") / "agent"
    release = app.releases()[-1]["id"]
    wait_for("the agent", lambda: (home / "identity.json").exists(), seconds=60)
    (home / "policy.yaml").write_text("version: 1\nreleases: forward\n")

    def deployed(**how: str) -> dict:
        deploy = stage.post("/v1/deploys", {"install_id": "keep", **how})["id"]
        wait_for("the end", lambda: stage.get(f"/v1/deploys/{deploy}")["ended_at"], seconds=90)
        return stage.get(f"/v1/deploys/{deploy}")

    unsigned = deployed(release_id=release)
    assert unsigned["status"] == "failed"
    assert unsigned["failure"]["code"] == "release_unsigned"

    (key,) = stage.vendor.rglob("vendor.key")
    signed = stage.exclave("releases", "sign", release, "--signing-key", str(key), "--yes")
    assert signed.code == 0, signed.output
    assert "base: new" in signed.output
    assert deployed(release_id=release)["status"] == "succeeded"

    app.edit('text = "{{ install.name }}"', 'text = "the {{ install.name }}"')
    app.apply()
    newer = app.releases()[-1]["id"]
    signed = stage.exclave("releases", "sign", newer, "--signing-key", str(key), "--yes")
    assert (signed.code, "base: another config" in signed.output) == (0, True), signed.output
    assert deployed(release_id=newer)["status"] == "succeeded"
    back = deployed(release_id=release)
    assert back["status"] == "failed"
    assert back["failure"]["code"] == "release_refused"
    assert deployed(kind="teardown")["status"] == "succeeded"
