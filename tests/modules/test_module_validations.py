"""The modules' own `terraform test`, with mocks on the real providers' schemas; and that each validation is tested there."""

import re
from pathlib import Path
from typing import Any

import pytest
from engines import Engine, on_every_engine
from module_copies import MODULES, copy, initialise, terraform
from module_docs import variables
from standin import NEWEST, OLDEST, StandIn
from standin_aws import Aws
from standin_google import Google

pytestmark = pytest.mark.e2e

PROVIDERS: dict[str, type[StandIn]] = {"aws": Aws, "google": Google, "install-aws": Aws, "install-google": Google}
CLOUDS = sorted(PROVIDERS)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("versions", [OLDEST, NEWEST], ids=["oldest", "newest"])
@pytest.mark.parametrize("example", ["minimal", "complete"])
def test_the_examples_are_valid_under_the_oldest_and_the_newest_schema(
    cloud: str, versions: dict[str, str], example: str, tmp_path: Path
) -> None:
    module = copy(MODULES[cloud], tmp_path)
    with terraform(PROVIDERS[cloud](versions[cloud]), module / "examples" / example) as workspace:
        initialise(workspace)
        run = workspace.command("validate", "-no-color")
    assert run.code == 0, run.text


@on_every_engine
@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_modules_own_tests_pass(cloud: str, engine: Engine, tmp_path: Path) -> None:
    module = copy(MODULES[cloud], tmp_path)
    with terraform(PROVIDERS[cloud](NEWEST[cloud]), module, engine) as workspace:
        assert failing_runs(workspace) == []


@on_every_engine
def test_the_policies_are_tested_without_any_provider(engine: Engine, tmp_path: Path) -> None:
    module = copy(MODULES["aws"], tmp_path)
    with terraform(Aws(NEWEST["aws"]), module / "policy", engine) as workspace:
        assert failing_runs(workspace) == []


@pytest.mark.parametrize(
    ("cloud", "folder"), [("aws", "."), ("aws", "policy"), ("google", "."), ("install-aws", "."), ("install-google", ".")]
)
def test_no_validation_can_be_left_out_without_a_failing_run(cloud: str, folder: str, tmp_path: Path) -> None:
    """Each condition of the module, made always true, must let something through that its tests refuse."""
    module = copy(MODULES[cloud], tmp_path) / folder
    found = [(path.name, place) for path in sorted(module.glob("*.tf")) for place in conditions(path.read_text())]
    assert len(found) >= len(variables(module))
    unnoticed = []
    with terraform(PROVIDERS[cloud](NEWEST[cloud]), module) as workspace:
        initialise(workspace)
        (tests,) = workspace.folder.glob("tests/*.tftest.hcl")
        all_runs = tests.read_text()
        for name, (start, end) in found:
            path = workspace.folder / name
            original = path.read_text()
            path.write_text(weakened(original, start, end))
            tests.write_text(only_runs_about(subject(original, start), all_runs))
            run = workspace.command("test", "-no-color")
            path.write_text(original)
            if run.code == 0:
                unnoticed.append((name, original[start:end]))
    assert unnoticed == []


def conditions(text: str) -> list[tuple[int, int]]:
    """Where the conditions of validations and preconditions are."""
    return [found.span(1) for found in re.finditer(r"^ +condition +=(.*)$", text, re.M)]


def subject(text: str, place: int) -> str:
    """What `expect_failures` calls the block around a place: `var.x` or `type.name`."""
    block = re.findall(r'^(variable|resource) "(\w+)"(?: "(\w+)")?', text[:place], re.M)[-1]
    return f"var.{block[1]}" if block[0] == "variable" else f"{block[1]}.{block[2]}"


def only_runs_about(subject: str, tests: str) -> str:
    """The test file with those runs alone that expect this to fail: what must notice, in a tenth of the time."""
    runs = re.findall(r'^run "\w+" \{\n.*?^\}', tests, re.S | re.M)
    kept = [run for run in runs if f"expect_failures = [{subject}]" in run]
    assert kept, f"no run expects {subject} to fail"
    return "\n".join([tests[: tests.index('\nrun "')], *kept])


def weakened(text: str, start: int, end: int) -> str:
    """The file with that condition always true. It still refers to its variable: Terraform wants that."""
    return f"{text[:start]} try({text[start:end].strip()}, true) || true{text[end:]}"


def failing_runs(workspace: Any) -> list[str]:
    """The runs of `terraform test` that don't pass."""
    initialise(workspace)
    run = workspace.command("test", "-no-color")
    runs = re.findall(r'^ +run "(\w+)"\.\.\. (\w+)', run.text, re.M)
    assert runs, run.text
    failing = [name for name, end in runs if end != "pass"]
    assert run.code == 0 or failing, run.text
    return failing
