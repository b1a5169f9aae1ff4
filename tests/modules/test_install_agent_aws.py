"""`modules/install-agent-aws`: planned and applied, its roles put into an emulator that enforces them; the token; its scan.

What isn't an IAM role lives in Terraform's state alone here: no emulator takes all of ECS, EFS and Fargate.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ecr_matrix
import pytest
from botocore.exceptions import ClientError
from harness import Workspace
from module_copies import MODULES, Mutation, copy, initialise, terraform
from standin import NEWEST
from standin_aws import Aws
from test_module_scanners import checkov_on_code

from agent.install.registries import EcrWriter, read_writer
from api.cli.connection_kit import AgentSettings, fill

pytestmark = pytest.mark.e2e

ACCOUNT = ecr_matrix.OWNER
TOKEN = "exce_the-one-time-token"
BUCKET = "acme-exclave-state"
SECRET = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:shop/*"

CONFIG = f"""
provider "aws" {{
  region     = "eu-west-1"
  access_key = "{ACCOUNT}"
  secret_key = "test"
}}

module "agent" {{
  source = "./install-agent-aws"

  name                 = "NAME"
  region               = "eu-west-1"
  ims_url              = "https://ims.example.com"
  image                = "{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/exclave-agent:0.1.0"
  enrollment_token     = try(file("token"), null)
  vpc_id               = "vpc-0123456789abcdef0"
  subnet_ids           = ["subnet-0123456789abcdef0"]
  state_bucket_name    = "{BUCKET}"
  plan_policy_arns     = ["arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"]
  apply_policy_arns    = ["arn:aws:iam::{ACCOUNT}:policy/shop-installer"]
  permissions_boundary = "arn:aws:iam::{ACCOUNT}:policy/boundary"
  readable_secret_arns = ["{SECRET}"]
}}

output "agent" {{
  value = module.agent
}}
"""

ALLOWED, DENIED = "allowed", "denied"
Row = tuple[Callable[[Callable[[str], Any]], Any], str]

ROWS: dict[str, Row] = {
    "logs in to the registry": (lambda as_agent: as_agent("ecr").get_authorization_token(), ALLOWED),
    "makes a repository below its prefix": (
        lambda as_agent: as_agent("ecr").create_repository(repositoryName=f"exclave/{_name}/web"),
        ALLOWED,
    ),
    "pushes there": (lambda as_agent: as_agent("ecr").initiate_layer_upload(repositoryName="exclave/there"), ALLOWED),
    "makes a repository elsewhere": (lambda as_agent: as_agent("ecr").create_repository(repositoryName=f"own/{_name}"), DENIED),
    "pushes into one of the account's": (lambda as_agent: as_agent("ecr").initiate_layer_upload(repositoryName="own"), DENIED),
    "makes itself the sole writer there": (lambda as_agent: _set_policy(as_agent("ecr"), "exclave/there"), ALLOWED),
    "sets the policy of one of the account's": (lambda as_agent: _set_policy(as_agent("ecr"), "own"), DENIED),
    "deletes a repository": (lambda as_agent: as_agent("ecr").delete_repository(repositoryName="exclave/there"), DENIED),
    "writes state": (lambda as_agent: as_agent("s3").put_object(Bucket=BUCKET, Key="states/x", Body=b"1"), ALLOWED),
    "reads state": (lambda as_agent: as_agent("s3").get_object(Bucket=BUCKET, Key="states/there"), ALLOWED),
    "lists states": (lambda as_agent: as_agent("s3").list_objects_v2(Bucket=BUCKET), ALLOWED),
    "reads another bucket": (lambda as_agent: as_agent("s3").get_object(Bucket="payroll", Key="there"), DENIED),
    "lists another bucket": (lambda as_agent: as_agent("s3").list_objects_v2(Bucket="payroll"), DENIED),
    "deletes the bucket": (lambda as_agent: as_agent("s3").delete_bucket(Bucket=BUCKET), DENIED),
    "reads a secret that it may": (
        lambda as_agent: as_agent("secretsmanager").get_secret_value(SecretId="shop/database"),
        ALLOWED,
    ),
    "reads another secret": (lambda as_agent: as_agent("secretsmanager").get_secret_value(SecretId="payroll"), DENIED),
    "plans": (lambda as_agent: _assume(as_agent("sts"), "exclave-NAME-plan"), ALLOWED),
    "applies": (lambda as_agent: _assume(as_agent("sts"), "exclave-NAME-apply"), ALLOWED),
    "acts as somebody else": (lambda as_agent: _assume(as_agent("sts"), "administrator"), DENIED),
    "makes a user": (lambda as_agent: as_agent("iam").create_user(UserName="mallory"), DENIED),
}

MUTATIONS = [
    Mutation(
        "every_repository",
        "policies.tf",
        "Resource = local.repository_arns",
        'Resource = "*"',
        ["makes a repository elsewhere", "pushes into one of the account's", "sets the policy of one of the account's"],
    ),
    Mutation(
        "every_bucket",
        "policies.tf",
        'Resource = "${local.bucket_arn}/*"',
        'Resource = "*"',
        ["reads another bucket"],
    ),
    Mutation("every_role", "policies.tf", "Resource = arns", 'Resource = "*"', ["acts as somebody else"]),
    Mutation(
        "every_secret",
        "policies.tf",
        "Resource = sort(var.readable_secret_arns)",
        'Resource = "*"',
        ["reads another secret"],
    ),
]

_name = ""


def _assume(sts: Any, role: str) -> Any:
    return sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role.replace('NAME', _name)}", RoleSessionName="row")


def _set_policy(ecr: Any, repository: str) -> Any:
    return ecr.set_repository_policy(
        repositoryName=repository, policyText=json.dumps({"Version": "2012-10-17", "Statement": []})
    )


@pytest.fixture(scope="module")
def cloud(aws_endpoint: str) -> ecr_matrix.Aws:
    """An account with what is nobody's business of the agent's, and a policy of each name."""
    aws = ecr_matrix.Aws(aws_endpoint)
    s3, iam, secrets = (aws.root(service, ACCOUNT) for service in ("s3", "iam", "secretsmanager"))
    for bucket, key in ((BUCKET, "states/there"), ("payroll", "there")):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
    for repository in ("exclave/there", "own"):
        aws.root("ecr", ACCOUNT).create_repository(repositoryName=repository)
    for secret in ("shop/database", "payroll"):
        secrets.create_secret(Name=secret, SecretString="x")
    iam.create_policy(PolicyName="boundary", PolicyDocument=_document("*", Resource="*"))
    trust = _document("sts:AssumeRole", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    iam.create_role(RoleName="administrator", AssumeRolePolicyDocument=trust)
    return aws


def _document(action: str, **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]})


def said(call: Callable[[], Any]) -> str:
    try:
        call()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return DENIED if code.startswith("AccessDenied") else code
    return ALLOWED


def wrong_rows(cloud: ecr_matrix.Aws, name: str) -> dict[str, str]:
    """The rows of the matrix that don't come out as they should, as the agent of this install."""
    global _name
    _name = name
    sts, role = cloud.root("sts", ACCOUNT), f"arn:aws:iam::{ACCOUNT}:role/exclave-{name}-agent"
    # ECS alone may start with the role: so its trust is opened to the test, after the test has seen that.
    assert said(lambda: sts.assume_role(RoleArn=role, RoleSessionName="test")) == DENIED
    for operation in ("plan", "apply"):
        assert said(lambda each=operation: _assume(sts, f"exclave-NAME-{each}")) == DENIED
    trust = _document("sts:AssumeRole", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    cloud.root("iam", ACCOUNT).update_assume_role_policy(RoleName=f"exclave-{name}-agent", PolicyDocument=trust)
    given = sts.assume_role(RoleArn=role, RoleSessionName="agent")["Credentials"]
    keys = (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    def as_agent(service: str) -> Any:
        return cloud.client(service, keys)

    outcomes = {what: said(lambda call=call: call(as_agent)) for what, (call, _) in ROWS.items()}
    return {what: outcome for what, outcome in outcomes.items() if outcome != ROWS[what][1]}


def apply(workspace: Workspace, name: str) -> dict[str, Any]:
    """Apply the module under a name; the state."""
    workspace.write("main.tf", CONFIG.replace("NAME", name))
    (workspace.folder / "token").write_text(TOKEN + "\n")
    initialise(workspace)
    run = workspace.command("apply", "-auto-approve", "-input=false", "-no-color")
    assert run.code == 0, run.text
    return workspace.state()


def test_the_agent_may_do_what_it_needs_and_nothing_else(cloud: ecr_matrix.Aws, tmp_path: Path) -> None:
    copy(MODULES["install-aws"], tmp_path)
    with terraform(Aws(NEWEST["aws"], cloud.endpoint), tmp_path) as workspace:
        apply(workspace, "sound")
        assert wrong_rows(cloud, "sound") == {}


def test_the_agent_understands_the_registry_that_it_is_given(cloud: ecr_matrix.Aws, tmp_path: Path) -> None:
    """And makes itself the only writer there, and those that the customer names the only readers."""
    nodes = f"arn:aws:iam::{ACCOUNT}:role/nodes"
    copy(MODULES["install-aws"], tmp_path)
    with terraform(Aws(NEWEST["aws"], cloud.endpoint), tmp_path) as workspace:
        more = CONFIG.replace("  vpc_id  ", f'  registry_readers     = ["{nodes}"]\n  vpc_id  ')
        workspace.write("main.tf", more.replace("NAME", "sole"))
        initialise(workspace)
        (workspace.folder / "token").write_text(TOKEN)
        run = workspace.command("apply", "-auto-approve", "-input=false", "-no-color")
        assert run.code == 0, run.text
        resources = workspace.state()["values"]["root_module"]["child_modules"][0]["resources"]
    (task,) = [each["values"] for each in resources if each["type"] == "aws_ecs_task_definition"]
    (agent,) = [each for each in json.loads(task["container_definitions"]) if each["name"] == "agent"]
    (given,) = [each["value"] for each in agent["environment"] if each["name"] == "EXCLAVE_REGISTRY"]
    (tmp_path / "registry.json").write_text(given)
    writer = read_writer(tmp_path / "registry.json")
    assert isinstance(writer, EcrWriter)
    own = f"arn:aws:iam::{ACCOUNT}:role/exclave-sole-agent"
    assert (writer.prefix, writer.region, writer.sole_writer, writer.readers) == ("exclave", "eu-west-1", own, [nodes])


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_fault_of_the_agents_policy_turns_rows_red(mutation: Mutation, cloud: ecr_matrix.Aws, tmp_path: Path) -> None:
    copy(MODULES["install-aws"], tmp_path, mutation)
    name = mutation.name.replace("_", "-")
    with terraform(Aws(NEWEST["aws"], cloud.endpoint), tmp_path) as workspace:
        apply(workspace, name)
        wrong = wrong_rows(cloud, name)
    assert set(mutation.reddens) <= set(wrong), wrong


def test_the_token_is_in_no_plan_and_no_state(cloud: ecr_matrix.Aws, tmp_path: Path) -> None:
    copy(MODULES["install-aws"], tmp_path)
    with terraform(Aws(NEWEST["aws"], cloud.endpoint), tmp_path) as workspace:
        workspace.write("main.tf", CONFIG.replace("NAME", "token"))
        (workspace.folder / "token").write_text(TOKEN)
        initialise(workspace)
        assert workspace.command("plan", "-out=plan", "-input=false").code == 0
        assert TOKEN not in json.dumps(workspace.show("plan"))
        assert workspace.command("apply", "-input=false", "plan").code == 0
        assert [path.name for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == [
            "token"
        ]
        (workspace.folder / "token").unlink()
        later = workspace.command("plan", "-detailed-exitcode", "-input=false", "-no-color")
    assert later.code == 0, later.text  # nothing to do when the used token is gone


def test_checkov_finds_nothing_that_is_not_explained(tmp_path: Path) -> None:
    copy(MODULES["install-aws"], tmp_path / "sound")
    module = copy(MODULES["install-aws"], tmp_path / "open")
    open_bucket = Mutation("public", "storage.tf", "block_public_acls       = true", "block_public_acls       = false", [])
    open_bucket.apply(module)
    found = checkov_on_code(tmp_path)
    assert found["sound"] == set()
    assert "CKV_AWS_53" in found["open"]


def test_the_configuration_that_a_customer_gets_can_be_planned(cloud: ecr_matrix.Aws, tmp_path: Path) -> None:
    fill(tmp_path, "aws", AgentSettings("acme_eu", "https://ims.example.com", "r.test/exclave-agent:0.1.0"))
    (tmp_path / "token").write_text(TOKEN)
    config = (tmp_path / "main.tf").read_text()
    keys = f'region = var.region\n  access_key = "{ACCOUNT}"\n  secret_key = "test"'
    (tmp_path / "main.tf").write_text(config.replace("region = var.region\n}", f"{keys}\n}}"))
    asked = {"region": "eu-west-1", "vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"]}
    (tmp_path / "terraform.tfvars.json").write_text(json.dumps(asked))
    with terraform(Aws(NEWEST["aws"], cloud.endpoint), tmp_path) as workspace:
        initialise(workspace)
        run = workspace.command("plan", "-out=plan", "-input=false", "-no-color")
        assert run.code == 0, run.text
        assert "exclave-acme-eu-agent" in json.dumps(workspace.show("plan"))
