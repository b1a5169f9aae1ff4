"""A customer approves on their own machine, beside the agent that runs there; and looks for drift."""

from collections.abc import Iterator

import pytest
from small_app import DEPLOYED, MAIN, SmallApp, open_stage
from stage import Stage, wait_for

DEPLOYMENT = DEPLOYED[DEPLOYED.index('resource "exclave_deployment"') :]
CUSTOMERS = """  name             = "NAME"
  approval         = "customer"
  labels           = { region = "eu" }
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("vendor")) as stage:
        yield stage


def test_nothing_is_applied_before_the_customer_has_approved_it(stage: Stage) -> None:
    text = (MAIN + DEPLOYED.replace(DEPLOYMENT, "")).replace('  name             = "NAME"\n', CUSTOMERS)
    text = text.replace('{ type = "string" }', '{ type = "string", group = "Looks" }')
    app = SmallApp.write(stage, "palace", text)
    app.apply(join=True)
    assert app.planned() == {}
    deploy = stage.post("/v1/deploys", {"install_id": "palace", "release_id": app.releases()[-1]["id"]})["id"]

    def waits() -> dict | None:
        steps = stage.get(f"/v1/deploys/{deploy}")["steps"]
        return next((step for step in steps if step["approval"] and step["status"] == "waiting"), None)

    step = wait_for("the question", waits)
    assert "the customer's approval" in step["waiting_for"]
    refused = stage.exclave("deploys", "approve", deploy, "--yes")
    assert refused.code == 5
    assert "only the install's own agent" in refused.output

    home = str(stage.customer("palace") / "agent")
    for component in ("base", "site"):
        wait_for(f"the question about {component}", lambda name=component: (waits() or {}).get("component") == name)
        said = stage.exclave("agent", "approve", deploy, "--home", home, "--yes", "--note", "fine")
        assert said.code == 0, said.output
        assert "create terraform_data.part" in said.output
    wait_for("the end", lambda: stage.get(f"/v1/deploys/{deploy}")["ended_at"])
    assert stage.get(f"/v1/deploys/{deploy}")["status"] == "succeeded"
    assert (
        stage.exclave("agent", "approve", "--home", home, "--yes").output.strip() == "Error: Nothing waits for your approval."
    )

    looked = stage.exclave("installs", "drift", "palace")
    assert looked.code == 0, looked.output
    assert "0 of 2 components have drifted." in looked.output
