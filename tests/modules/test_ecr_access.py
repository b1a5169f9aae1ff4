"""`modules/ecr-access` on an emulator of AWS: applied, planned again, asked row by row, destroyed; and its faults."""

import json
from pathlib import Path

import ecr_matrix
import pytest
from checks import planned
from emulators import GoogleKeys
from engines import Engine, on_every_engine
from harness import Step
from module_copies import MODULES, Mutation, copy, initialise, terraform
from standin import NEWEST
from standin_aws import Aws

pytestmark = pytest.mark.e2e

MUTATIONS = [
    Mutation(
        "no_external_id",
        "policy/main.tf",
        'StringEquals = { "sts:ExternalId" = var.external_id }',
        "",
        ["without an external id", "with another customer's external id"],
    ),
    Mutation(
        "the_vendors_whole_account",
        "policy/main.tf",
        'ArnEquals = { "aws:PrincipalArn" = sort(var.vendor_role_arns) }',
        "",
        [
            "another role of the vendor's account",
            "a role of the trusted name under another path",
            "the root of the vendor's account",
        ],
    ),
    Mutation(
        "no_audience",
        "policy/main.tf",
        '"accounts.google.com:oaud" = var.gcp_token_audience',
        "",
        ["a token for another audience", "a token without azp", "a token that says its audience in azp"],
    ),
    Mutation(
        "the_audience_by_the_wrong_name",
        "policy/main.tf",
        '"accounts.google.com:oaud" = var',
        '"accounts.google.com:aud" = var',
        ["the build agent's service account"],
    ),
    Mutation(
        "any_service_account",
        "policy/main.tf",
        '"accounts.google.com:sub" = sort(var.gcp_service_account_ids)',
        "",
        ["another service account"],
    ),
    Mutation(
        "every_repository",
        "policy/main.tf",
        "Resource = sort(setunion(var.repository_arns, var.pull_through_cache_arns))",
        'Resource = "*"',
        [
            "pull another repository's image",
            "pull from a name that begins like a granted one",
            "pull in another region",
        ],
    ),
    Mutation(
        "pushing",
        "policy/main.tf",
        '"ecr:GetDownloadUrlForLayer",',
        '"ecr:GetDownloadUrlForLayer", "ecr:PutImage",',
        ["push an image"],
    ),
    Mutation(
        "a_cache_of_everything",
        "policy/main.tf",
        "Resource = sort(var.pull_through_cache_arns)",
        'Resource = "*"',
        ["create a repository outside the cache"],
    ),
]


@pytest.fixture(scope="module")
def cloud(aws_endpoint: str) -> ecr_matrix.Aws:
    aws = ecr_matrix.Aws(aws_endpoint)
    aws.fill()
    return aws


@on_every_engine
def test_the_role_lets_in_and_pulls_what_it_should_and_nothing_else(
    engine: Engine, cloud: ecr_matrix.Aws, google_keys: GoogleKeys, tmp_path: Path
) -> None:
    copy(MODULES["aws"], tmp_path)
    config = ecr_matrix.CONFIG.replace("ROLE", f"images-{engine}")
    with terraform(Aws(NEWEST["aws"], cloud.endpoint), tmp_path, engine) as workspace:
        workspace.write("main.tf", config)
        initialise(workspace)
        addresses = ("module.ecr_access.aws_iam_role.this", "module.ecr_access.aws_iam_role_policy.pull")
        workspace.run(Step(config, plan=[planned(address, "create") for address in addresses]))
        arn = workspace.state()["values"]["outputs"]["role_arn"]["value"]
        assert arn == f"arn:aws:iam::{ecr_matrix.OWNER}:role/images-{engine}"
        assert len(ecr_matrix.ROWS) >= 26
        assert ecr_matrix.wrong_rows(cloud, google_keys, arn) == {}
        workspace.destroy()
    left = cloud.root("iam", ecr_matrix.OWNER).list_roles()["Roles"]
    assert arn not in [role["Arn"] for role in left]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_fault_of_the_policies_turns_rows_red(
    mutation: Mutation, cloud: ecr_matrix.Aws, google_keys: GoogleKeys, tmp_path: Path
) -> None:
    copy(MODULES["aws"], tmp_path, mutation)
    config = ecr_matrix.CONFIG.replace("ROLE", f"fault-{mutation.name}")
    with terraform(Aws(NEWEST["aws"], cloud.endpoint), tmp_path) as workspace:
        workspace.write("main.tf", config)
        initialise(workspace)
        workspace.run(Step(config, empty_after=False))
        arn = workspace.state()["values"]["outputs"]["role_arn"]["value"]
        wrong = ecr_matrix.wrong_rows(cloud, google_keys, arn)
    assert set(mutation.reddens) <= set(wrong), wrong


def test_a_role_that_is_there_is_taken_over_and_keeps_its_arn(
    cloud: ecr_matrix.Aws, google_keys: GoogleKeys, tmp_path: Path
) -> None:
    """What docs/how-to/move-to-the-access-modules.md promises of a role that trusts a whole account."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{ecr_matrix.VENDOR}:root"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam = cloud.root("iam", ecr_matrix.OWNER)
    there = iam.create_role(RoleName="taken-over", AssumeRolePolicyDocument=document)["Role"]
    assert "another role of the vendor's account" in ecr_matrix.wrong_rows(cloud, google_keys, there["Arn"])
    copy(MODULES["aws"], tmp_path)
    address = "module.ecr_access.aws_iam_role.this"
    imported = f'import {{\n  to = {address}\n  id = "taken-over"\n}}\n'
    config = ecr_matrix.CONFIG.replace("ROLE", "taken-over")
    with terraform(Aws(NEWEST["aws"], cloud.endpoint), tmp_path) as workspace:
        workspace.write("main.tf", config)
        initialise(workspace)
        plan = [planned(address, "update"), planned("module.ecr_access.aws_iam_role_policy.pull", "create")]
        workspace.run(Step(config, files={"import.tf": imported}, plan=plan))
        assert ecr_matrix.wrong_rows(cloud, google_keys, there["Arn"]) == {}
        assert iam.get_role(RoleName="taken-over")["Role"]["RoleId"] == there["RoleId"]
        workspace.destroy()


def test_a_change_behind_terraforms_back_is_put_right(cloud: ecr_matrix.Aws, tmp_path: Path) -> None:
    copy(MODULES["aws"], tmp_path)
    config = ecr_matrix.CONFIG.replace("ROLE", "drifting")
    iam = cloud.root("iam", ecr_matrix.OWNER)
    with terraform(Aws(NEWEST["aws"], cloud.endpoint), tmp_path) as workspace:
        workspace.write("main.tf", config)
        initialise(workspace)
        workspace.run(
            Step(config),
            Step(
                config,
                before=lambda: iam.delete_role_policy(RoleName="drifting", PolicyName="pull"),
                plan=[planned("module.ecr_access.aws_iam_role_policy.pull", "create")],
            ),
        )
        workspace.destroy()
