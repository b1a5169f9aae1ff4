"""The CloudFormation template of the agent: CloudFormation's own schemas, a scanner, and that it grants what the module does.

It was never deployed to the real AWS, and no emulator takes all of ECS, EFS and Fargate.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from emulators import python_of
from module_copies import MODULES, ROOT, copy, initialise, terraform
from standin import NEWEST
from standin_aws import Aws
from test_install_agent_aws import ACCOUNT, CONFIG
from test_module_scanners import checkov_on_code

from agent.install.registries import EcrWriter, read_writer

pytestmark = pytest.mark.e2e

FOLDER = ROOT / "deploy/agent/aws-cloudformation"
GIVEN = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "Name": "stack",
    "RegistryPrefix": "exclave",
    "AWS::URLSuffix": "amazonaws.com",
    "ReaderArns": [f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("nodes", "jobs")],
    "PlanPolicyArns": ["arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"],
    "ApplyPolicyArns": [f"arn:aws:iam::{ACCOUNT}:policy/shop-installer"],
}
HOLDING = {"Plans", "Applies", "Bounded", "Sole", "Readers"}


class Tags(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, each as a dict of its long form's name."""


Tags.add_multi_constructor(
    "!",
    lambda loader, suffix, node: {
        suffix: loader.construct_scalar(node)
        if isinstance(node, yaml.ScalarNode)
        else loader.construct_sequence(node, deep=True)
    },
)


def resolved(value: Any) -> Any:
    """A value of the template with what is GIVEN, as far as policies need it."""
    if isinstance(value, list):
        return [each for each in map(resolved, value) if each is not None]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": "AWS::NoValue"}:
            return None
        case {"Ref": name}:
            return GIVEN.get(name, name)
        case {"Sub": [text, own]}:
            known = GIVEN | {name: resolved(each) for name, each in own.items()}
            return re.sub(r"\$\{([\w:]+)\}", lambda found: str(known.get(found[1], found[0])), text)
        case {"Sub": text}:
            return re.sub(r"\$\{([\w:]+)\}", lambda found: str(GIVEN.get(found[1], found[0])), text)
        case {"Join": [between, values]}:
            return between.join(resolved(values))
        case {"If": [condition, then, otherwise]}:
            return resolved(then if condition in HOLDING else otherwise)
    return {name: resolved(each) for name, each in value.items()}


def allowed(policy: Any) -> set[tuple[str, str]]:
    """Every action on every resource that a policy allows."""

    def listed(value: Any) -> list[str]:
        return value if isinstance(value, list) else [value]

    statements = policy["Statement"]
    assert all(each["Effect"] == "Allow" and not set(each) & {"NotAction", "NotResource", "Condition"} for each in statements)
    return {(action, on) for each in statements for action in listed(each["Action"]) for on in listed(each["Resource"])}


def test_cloudformation_knows_everything_in_the_template(tmp_path: Path) -> None:
    linter = str(Path(python_of("emulators")).with_name("cfn-lint"))
    done = subprocess.run([linter, str(FOLDER / "template.yaml")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    wrong = tmp_path / "template.yaml"
    wrong.write_text((FOLDER / "template.yaml").read_text().replace("ReadonlyRootFilesystem", "ReadonlyFilesystem"))
    assert subprocess.run([linter, str(wrong)], capture_output=True, text=True).returncode != 0


def test_checkov_finds_nothing_in_the_template_that_is_not_explained(tmp_path: Path) -> None:
    sound = (FOLDER / "template.yaml").read_text()
    for name, text in (("sound", sound), ("open", sound.replace("BlockPublicAcls: true", "BlockPublicAcls: false"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "template.yaml").write_text(text)
    found = checkov_on_code(tmp_path, "cloudformation")
    assert found["sound"] == set()
    assert "CKV_AWS_53" in found["open"]


def test_the_stack_grants_the_agent_what_the_module_does(aws_endpoint: str, tmp_path: Path) -> None:
    copy(MODULES["install-aws"], tmp_path)
    bare = re.sub(r"^  (state_bucket_name|readable_secret_arns) .*\n", "", CONFIG, flags=re.M).replace("NAME", "stack")
    with terraform(Aws(NEWEST["aws"], aws_endpoint), tmp_path) as workspace:
        workspace.write("main.tf", bare + 'output "policy" {\n  value = module.agent.agent_policy_json\n}\n')
        initialise(workspace)
        assert workspace.command("plan", "-out=plan", "-input=false").code == 0
        module = json.loads(workspace.show("plan")["planned_values"]["outputs"]["policy"]["value"])
    stack = yaml.load((FOLDER / "template.yaml").read_text(), Tags)
    (policy,) = stack["Resources"]["AgentRole"]["Properties"]["Policies"]
    assert allowed(resolved(policy["PolicyDocument"])) == allowed(module)


@pytest.mark.parametrize(
    ("holding", "writer", "readers"),
    [
        ({"Sole", "Readers"}, f"arn:aws:iam::{ACCOUNT}:role/exclave-stack-agent", GIVEN["ReaderArns"]),
        ({"Sole"}, f"arn:aws:iam::{ACCOUNT}:role/exclave-stack-agent", []),
        (set(), None, []),
    ],
    ids=["with readers", "sole writer", "neither"],
)
def test_the_agent_understands_the_registry_that_the_stack_gives_it(
    holding: set[str], writer: str | None, readers: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.HOLDING", holding)
    stack = yaml.load((FOLDER / "template.yaml").read_text(), Tags)
    (agent,) = stack["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"]
    (given,) = [each["Value"] for each in agent["Environment"] if each.get("Name") == "EXCLAVE_REGISTRY"]
    (tmp_path / "registry.json").write_text(resolved(given))
    understood = read_writer(tmp_path / "registry.json")
    assert isinstance(understood, EcrWriter)
    assert (understood.region, understood.sole_writer, understood.readers) == ("eu-west-1", writer, readers)
    actions = resolved(stack["Resources"]["AgentRole"]["Properties"]["Policies"][0]["PolicyDocument"])["Statement"][1]["Action"]
    assert ("ecr:SetRepositoryPolicy" in actions) == (writer is not None)


def test_the_script_gives_the_token_to_secrets_manager_by_its_file(tmp_path: Path) -> None:
    """With a stand-in for the AWS CLI, which writes down what it is called with."""
    for name in ("start.sh", "template.yaml"):
        (tmp_path / name).write_text((FOLDER / name).read_text())
    programs = tmp_path / "programs"
    programs.mkdir()
    arn = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:exclave-acme-token-a1b2c3"
    (programs / "aws").write_text(f"""#!/bin/sh
echo "$@" >> {tmp_path}/calls
case "$*" in
    *describe-secret*) [ -f {tmp_path}/secret ] && echo {arn} ;;
    *create-secret*) cp token {tmp_path}/secret ;;
    *deploy*) cp parameters.now.json {tmp_path}/deployed ;;
esac
""")
    (programs / "aws").chmod(0o755)

    def start() -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        return subprocess.run(["sh", str(tmp_path / "start.sh")], env=environment, capture_output=True, text=True)

    parameters = tmp_path / "parameters.json"
    given = ["Name=acme", "ImsUrl=https://ims.example.com", "Image=r.test/agent:1", "VpcId=", "SubnetId="]
    parameters.write_text(json.dumps(given, indent=2))
    (tmp_path / "token").write_text("exce_1\n")
    refused = start()
    assert (refused.returncode, "no VpcId yet" in refused.stderr, (tmp_path / "calls").exists()) == (1, True, False)
    given = [f"{each}vpc-1" if each == "VpcId=" else f"{each}subnet-1" if each == "SubnetId=" else each for each in given]
    parameters.write_text(json.dumps(given, indent=2))
    done = start()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "secret").read_text() == "exce_1\n"
    assert "exce_1" not in (tmp_path / "calls").read_text()
    assert json.loads((tmp_path / "deployed").read_text()) == [f"TokenSecretArn={arn}", *given]
    assert not (tmp_path / "token").exists()
    assert start().returncode == 0  # as after a newer image
