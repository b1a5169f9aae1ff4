"""The program is a fake, written against Open Policy Agent's CLI reference: no `opa` is to be had where the tests run."""

import json
import sys
from pathlib import Path

import pytest

from agent.failure import CodedError
from agent.policy.planned import PlannedObject
from agent.policy.policy import Policy
from agent.policy.read import read_policy
from agent.policy.refusal import PolicyRefusedError
from agent.policy.rules import Subject

SUBJECT = Subject("apply", "network", "terraform_module")
OBJECTS = [PlannedObject(address="aws_vpc.x", type="aws_vpc", action="create")]


def policy(folder: Path, script: str) -> Policy:
    opa = folder / "opa"
    opa.write_text(f"#!{sys.executable}\nimport json, sys\nargs, given = sys.argv[1:], json.load(sys.stdin)\n{script}\n")
    opa.chmod(0o755)
    text = f"version: 1\nrego: {{opa: {opa}, files: [rules]}}\n"
    return Policy(read_policy("policy.yaml", text), folder=folder)


def answer(value: object) -> str:
    return f"print({json.dumps({'result': [{'expressions': [{'value': value}]}]})!r})"


def test_every_message_of_rego_is_a_refusal(tmp_path: Path) -> None:
    script = (
        "assert args[:5] == ['eval', '--format', 'json', '--stdin-input', '--data']\n"
        f"assert args[5:] == [{str(tmp_path / 'rules')!r}, 'data.exclave.deny']\n"
        "assert given['component'] == 'network' and given['objects'][0]['type'] == 'aws_vpc'\n"
    )
    with pytest.raises(PolicyRefusedError, match=r"refuses the plan of network: rule 'rego data.exclave.deny': no networks"):
        policy(tmp_path, script + answer(["no networks."])).judge(SUBJECT, OBJECTS)


def test_an_empty_set_allows(tmp_path: Path) -> None:
    assert policy(tmp_path, answer([])).judge(SUBJECT, OBJECTS) == []


@pytest.mark.parametrize("script", ["sys.exit(2)", "print('{}')", "print('[')", answer(True)])
def test_what_rego_does_not_judge_is_not_applied(tmp_path: Path, script: str) -> None:
    with pytest.raises(CodedError) as caught:
        policy(tmp_path, script).judge(SUBJECT, OBJECTS)
    assert caught.value.failure.code == "policy_invalid"


def test_a_missing_program_is_said(tmp_path: Path) -> None:
    missing = Policy(read_policy("policy.yaml", f"version: 1\nrego: {{opa: {tmp_path}/none, files: [x]}}\n"), folder=tmp_path)
    with pytest.raises(CodedError, match="can't be run"):
        missing.judge(SUBJECT, OBJECTS)
