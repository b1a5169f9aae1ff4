"""`modules/gar-access` on a fake Google and an emulated AWS: applied, planned again, asked row by row; its faults."""

from pathlib import Path

import gar_matrix
import httpx
import pytest
from checks import planned
from engines import Engine, on_every_engine
from gar_matrix import APPLIED, Clouds
from harness import Step
from module_copies import MODULES, Mutation, copy, initialise, terraform
from standin import NEWEST
from standin_google import Google

pytestmark = pytest.mark.e2e

ROLE_SET = '{ account = account, attribute = "aws_role/${role}" }'
ACCOUNT_SET = '{ account = account, attribute = "aws_account/${account}" }'
OPEN_ACCOUNT = '"${account}/*" = '

MUTATIONS = [
    Mutation(
        "no_condition",
        "main.tf",
        "attribute_condition = local.aws_condition[each.key]",
        "attribute_condition = null",
        ["a named role in another customer's session", "another role of the account", "the root of the account"],
    ),
    Mutation(
        "no_session_name_in_the_condition",
        "main.tf",
        'principal.session_name == null ? "" : ',
        'true ? "" : ',
        ["a named role in another customer's session"],
    ),
    Mutation(
        "an_account_wide_set",
        "main.tf",
        ROLE_SET,
        ACCOUNT_SET,
        ["another role of the account"],
        also=[("attribute_condition = local.aws_condition[each.key]", "attribute_condition = null")],
    ),
    Mutation(
        "the_arn_as_subject",
        "main.tf",
        '"size(assertion.arn) <= 127 ? assertion.arn : assertion.userid"',
        '"assertion.arn"',
        ["a session whose ARN is too long for a subject"],
    ),
    Mutation("writing", "main.tf", "roles/artifactregistry.reader", "roles/artifactregistry.writer", ["pushing an image"]),
    Mutation(
        "a_pool_that_reads_by_itself",
        "main.tf",
        'member     = "serviceAccount:${google_service_account.reader.email}"',
        'member     = "principalSet://iam.googleapis.com/${local.pool["222222222222"]}/*"',
        ["the build agent's service account", "pulling without the service account"],
    ),
    Mutation(
        "a_display_name_that_is_too_long",
        "main.tf",
        'display_name                       = "AWS ${each.key}"',
        'display_name                       = "AWS account ${each.key} of the vendor"',
        [APPLIED],
    ),
    Mutation(
        "provider_ids_that_collide",
        "main.tf",
        'coalesce(each.value.provider_id, "aws-${each.key}")',
        'coalesce(each.value.provider_id, "aws-${substr(each.key, 6, 6)}")',
        [APPLIED],
    ),
]


@pytest.fixture(scope="module")
def clouds(google_endpoint: str, aws_endpoint: str) -> Clouds:
    clouds = Clouds(google_endpoint, aws_endpoint)
    clouds.fill()
    administer(clouds, "serviceAccounts", {"accountId": "bystander", "serviceAccount": {"displayName": "", "description": ""}})
    return clouds


def administer(clouds: Clouds, path: str, body: dict[str, object]) -> None:
    url = f"{clouds.google}/v1/projects/acme-images/{path}"
    httpx.post(url, json=body, headers={"Authorization": "Bearer admin"}).raise_for_status()


@on_every_engine
def test_the_service_account_serves_who_it_should_and_nobody_else(engine: Engine, clouds: Clouds, tmp_path: Path) -> None:
    copy(MODULES["google"], tmp_path)
    config = clouds.config(f"e{engine.version[1]}")
    with terraform(Google(NEWEST["google"]), tmp_path, engine) as workspace:
        workspace.write("main.tf", config)
        initialise(workspace)
        workspace.run(Step(config, plan=[planned("module.gar_access.google_service_account.reader", "create")]))
        assert len(gar_matrix.ROWS) >= 13
        assert gar_matrix.wrong_rows(clouds, workspace.state()["values"]["outputs"]) == {}
        workspace.destroy()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_fault_of_the_module_turns_rows_red(mutation: Mutation, clouds: Clouds, tmp_path: Path) -> None:
    copy(MODULES["google"], tmp_path, mutation)
    config = clouds.config(f"fault-{MUTATIONS.index(mutation)}")
    with terraform(Google(NEWEST["google"]), tmp_path) as workspace:
        workspace.write("main.tf", config)
        initialise(workspace)
        run = workspace.command("apply", "-json", "-auto-approve", "-input=false")
        if run.code == 0:
            wrong = gar_matrix.wrong_rows(clouds, workspace.state()["values"]["outputs"])
        else:
            assert "googleapi: Error 4" in run.text, run.text
            wrong = {APPLIED: run.text}
    assert set(mutation.reddens) <= set(wrong), wrong


def test_a_service_account_that_is_there_is_taken_over(clouds: Clouds, tmp_path: Path) -> None:
    """What docs/how-to/move-to-the-access-modules.md promises."""
    copy(MODULES["google"], tmp_path)
    there = {"accountId": "reader-taken", "serviceAccount": {"displayName": "Old", "description": ""}}
    administer(clouds, "serviceAccounts", there)
    address = "module.gar_access.google_service_account.reader"
    name = "projects/acme-images/serviceAccounts/reader-taken@acme-images.iam.gserviceaccount.com"
    imported = f'import {{\n  to = {address}\n  id = "{name}"\n}}\n'
    with terraform(Google(NEWEST["google"]), tmp_path) as workspace:
        workspace.write("main.tf", clouds.config("taken"))
        initialise(workspace)
        workspace.run(Step(clouds.config("taken"), files={"import.tf": imported}, plan=[planned(address, "update")]))
        assert gar_matrix.wrong_rows(clouds, workspace.state()["values"]["outputs"]) == {}
        workspace.destroy()


def test_a_pool_that_is_there_is_used_and_stays(clouds: Clouds, tmp_path: Path) -> None:
    copy(MODULES["google"], tmp_path)
    administer(clouds, "locations/global/workloadIdentityPools?workloadIdentityPoolId=pool-shared", {"displayName": "Shared"})
    config = clouds.config("shared", pool_input="existing_workload_identity_pool")
    with terraform(Google(NEWEST["google"]), tmp_path) as workspace:
        workspace.write("main.tf", config)
        initialise(workspace)
        workspace.run(Step(config))
        assert gar_matrix.wrong_rows(clouds, workspace.state()["values"]["outputs"]) == {}
        workspace.destroy()
    url = f"{clouds.google}/v1/projects/acme-images/locations/global/workloadIdentityPools/pool-shared"
    assert httpx.get(url, headers={"Authorization": "Bearer admin"}).status_code == 200


def test_the_id_of_a_destroyed_pool_stays_taken(clouds: Clouds, tmp_path: Path) -> None:
    """What the README tells of, so that nobody is surprised: another `workload_identity_pool_id` helps."""
    copy(MODULES["google"], tmp_path)
    with terraform(Google(NEWEST["google"]), tmp_path) as workspace:
        workspace.write("main.tf", clouds.config("again"))
        initialise(workspace)
        workspace.run(Step(clouds.config("again")))
        workspace.destroy()
        again = workspace.command("apply", "-json", "-auto-approve", "-input=false")
        assert again.code == 1, again.text
        assert "keeps its id for 30 days" in " ".join(again.text.split())
        workspace.run(Step(clouds.config("again").replace('"pool-again"', '"pool-another"')))
        workspace.destroy()
