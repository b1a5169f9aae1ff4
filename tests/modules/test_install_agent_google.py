"""`modules/install-agent-google`: applied, with its accounts and their roles in a fake Google; the token; its scan.

Buckets, secrets, firewalls and the machine live in Terraform's state alone here: what the fake has is written in its head.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import Workspace
from module_copies import MODULES, Mutation, copy, initialise, terraform
from standin import NEWEST
from standin_google import Google
from test_module_scanners import checkov_on_code

from api.cli.connection_kit import AgentSettings, fill

pytestmark = pytest.mark.e2e

TOKEN = "exce_the-one-time-token"
PROJECT = "acme-images"
CONFIG = """
provider "google" {
  project                           = "acme-images"
  access_token                      = "admin"
  iam_custom_endpoint               = "GOOGLE/v1/"
  artifact_registry_custom_endpoint = "GOOGLE/v1/"
}

module "agent" {
  source = "./install-agent-google"

  name             = "NAME"
  project_id       = "acme-images"
  region           = "europe-west1"
  zone             = "europe-west1-b"
  ims_url          = "https://ims.example.com"
  image            = "europe-west1-docker.pkg.dev/acme-images/shop/exclave-agent:0.1.0"
  image_repository = { location = "europe-west1", name = "shop" }
  enrollment_token = try(file("token"), null)
  network          = "projects/acme-images/global/networks/main"
  subnetwork       = "projects/acme-images/regions/europe-west1/subnetworks/private"
  plan_roles       = ["roles/compute.viewer"]
  apply_roles      = ["roles/cloudsql.admin"]
}

output "agent" {
  value = module.agent
}
"""

ALLOWED, DENIED = 200, 403
Ask = Callable[[str, str], int]
"""A call as the agent: a method and a path; the status of the answer."""

ROWS: dict[str, tuple[Callable[[Ask, str], int], int]] = {
    "pushes into its own repository": (lambda ask, name: ask("PUT", f"/v2/{PROJECT}/exclave-{name}/web/manifests/1"), ALLOWED),
    "pulls from it": (lambda ask, name: ask("GET", f"/v2/{PROJECT}/exclave-{name}/web/manifests/1"), ALLOWED),
    "pulls its own image": (lambda ask, _: ask("GET", f"/v2/{PROJECT}/shop/exclave-agent/manifests/0.1.0"), ALLOWED),
    "pushes beside its image": (lambda ask, _: ask("PUT", f"/v2/{PROJECT}/shop/web/manifests/1"), DENIED),
    "pulls from another repository": (lambda ask, _: ask("GET", f"/v2/{PROJECT}/ledger/web/manifests/1"), DENIED),
    "acts as the account for planning": (lambda ask, name: ask("POST", _token_of(f"exclave-{name}-plan")), ALLOWED),
    "acts as the account for applying": (lambda ask, name: ask("POST", _token_of(f"exclave-{name}-apply")), ALLOWED),
    "acts as another account": (lambda ask, _: ask("POST", _token_of("payroll")), DENIED),
}

MUTATIONS = [
    Mutation(
        "writing_where_the_image_is",
        "storage.tf",
        'role       = "roles/artifactregistry.reader"',
        'role       = "roles/artifactregistry.writer"',
        ["pushes beside its image"],
    ),
    Mutation(
        "another_repository",
        "storage.tf",
        "repository = var.image_repository.name",
        'repository = "ledger"',
        ["pulls from another repository", "pulls its own image"],
    ),
]


def _token_of(account: str) -> str:
    return f"/v1/projects/-/serviceAccounts/{account}@{PROJECT}.iam.gserviceaccount.com:generateAccessToken"


@pytest.fixture(scope="module")
def cloud(google_endpoint: str) -> str:
    """A project with an account that is nobody's business of the agent's."""
    body = {"accountId": "payroll", "serviceAccount": {"displayName": "", "description": ""}}
    url = f"{google_endpoint}/v1/projects/{PROJECT}/serviceAccounts"
    httpx.post(url, json=body, headers={"Authorization": "Bearer admin"}).raise_for_status()
    return google_endpoint


def apply(workspace: Workspace, cloud: str, name: str) -> dict[str, Any]:
    """Apply the module under a name; its outputs."""
    workspace.write("main.tf", CONFIG.replace("NAME", name).replace("GOOGLE", cloud))
    (workspace.folder / "token").write_text(TOKEN + "\n")
    initialise(workspace)
    run = workspace.command("apply", "-auto-approve", "-input=false", "-no-color")
    assert run.code == 0, run.text
    outputs: dict[str, Any] = workspace.state()["values"]["outputs"]["agent"]["value"]
    return outputs


def wrong_rows(cloud: str, name: str, email: str) -> dict[str, int]:
    def ask(method: str, path: str) -> int:
        answer = httpx.request(method, f"{cloud}{path}", json={}, headers={"Authorization": f"Bearer token-of {email}"})
        return answer.status_code

    outcomes = {what: call(ask, name) for what, (call, _) in ROWS.items()}
    return {what: outcome for what, outcome in outcomes.items() if outcome != ROWS[what][1]}


def test_the_agent_may_do_what_it_needs_and_nothing_else(cloud: str, tmp_path: Path) -> None:
    copy(MODULES["install-google"], tmp_path)
    with terraform(Google(NEWEST["google"]), tmp_path) as workspace:
        outputs = apply(workspace, cloud, "sound")
        assert wrong_rows(cloud, "sound", outputs["agent_email"]) == {}
        gone = workspace.command("destroy", "-auto-approve", "-input=false", "-no-color")
    assert gone.code == 0, gone.text
    assert "acts as the account for planning" in wrong_rows(cloud, "sound", outputs["agent_email"])


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_fault_of_the_modules_members_turns_rows_red(mutation: Mutation, cloud: str, tmp_path: Path) -> None:
    copy(MODULES["install-google"], tmp_path, mutation)
    name = f"fault{MUTATIONS.index(mutation)}"
    with terraform(Google(NEWEST["google"]), tmp_path) as workspace:
        outputs = apply(workspace, cloud, name)
        wrong = wrong_rows(cloud, name, outputs["agent_email"])
    assert set(mutation.reddens) <= set(wrong), wrong


def test_the_token_is_in_no_plan_and_no_state(cloud: str, tmp_path: Path) -> None:
    copy(MODULES["install-google"], tmp_path)
    with terraform(Google(NEWEST["google"]), tmp_path) as workspace:
        apply(workspace, cloud, "token")
        assert TOKEN not in json.dumps(workspace.state())
        assert [path.name for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == [
            "token"
        ]
        (workspace.folder / "token").unlink()
        later = workspace.command("plan", "-detailed-exitcode", "-input=false", "-no-color")
        assert later.code == 0, later.text  # nothing to do when the used token is gone


def test_another_image_is_another_machine_with_the_same_disk(cloud: str, tmp_path: Path) -> None:
    copy(MODULES["install-google"], tmp_path)
    with terraform(Google(NEWEST["google"]), tmp_path) as workspace:
        apply(workspace, cloud, "newer")
        main = workspace.folder / "main.tf"
        main.write_text(main.read_text().replace("exclave-agent:0.1.0", "exclave-agent:0.2.0"))
        assert workspace.command("plan", "-out=plan", "-input=false").code == 0
        changes = {each["address"]: each["change"]["actions"] for each in workspace.show("plan")["resource_changes"]}
        assert changes["module.agent.google_compute_instance.agent"] == ["delete", "create"]
        assert changes["module.agent.google_compute_disk.home"] == ["no-op"]


def test_checkov_finds_nothing_that_is_not_explained(tmp_path: Path) -> None:
    copy(MODULES["install-google"], tmp_path / "sound")
    module = copy(MODULES["install-google"], tmp_path / "open")
    closed = 'public_access_prevention    = "enforced"'
    Mutation("public", "storage.tf", closed, 'public_access_prevention    = "inherited"', []).apply(module)
    found = checkov_on_code(tmp_path)
    assert found["sound"] == set()
    assert "CKV_GCP_114" in found["open"]


def test_the_configuration_that_a_customer_gets_can_be_planned(tmp_path: Path) -> None:
    fill(tmp_path, "google", AgentSettings("acme_eu", "https://ims.example.com", "r.test/exclave-agent:0.1.0"))
    (tmp_path / "token").write_text(TOKEN)
    network = "projects/acme-images/global/networks/main"
    subnetwork = "projects/acme-images/regions/europe-west1/subnetworks/private"
    asked = {"project_id": PROJECT, "zone": "europe-west1-b", "network": network, "subnetwork": subnetwork}
    (tmp_path / "terraform.tfvars.json").write_text(json.dumps(asked))
    with terraform(Google(NEWEST["google"]), tmp_path) as workspace:
        initialise(workspace)
        run = workspace.command("plan", "-out=plan", "-input=false", "-no-color")
        assert run.code == 0, run.text
        assert "exclave-acme-eu-agent" in json.dumps(workspace.show("plan"))
