"""The modules' form: what a reviewer, `terraform fmt` and a registry expect of them."""

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import module_docs
import pytest
from module_docs import MODULES, ROOT, outputs, variables

from api.terraform_registry.filling import pack_module, system_of

EVERY_FOLDER = sorted({path.parent for module in MODULES for path in module.rglob("variables.tf")})
of_every_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)


SYSTEMS = {"ecr-access": "aws", "gar-access": "google", "install-agent-aws": "aws", "install-agent-google": "google"}


def test_every_module_is_there() -> None:
    assert [module.name for module in MODULES] == list(SYSTEMS)


@of_every_module
def test_a_module_has_the_files_that_everybody_expects(module: Path) -> None:
    expected = {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md", "CHANGELOG.md"}
    assert expected <= {path.name for path in module.iterdir()}
    assert {path.name for path in (module / "examples").iterdir()} == {"minimal", "complete"}


@of_every_module
def test_a_module_sets_up_no_provider_and_fetches_no_module(module: Path) -> None:
    for path in [*module.glob("*.tf"), *module.glob("policy/*.tf")]:
        text = path.read_text()
        assert not re.search(r"^(provider|moved) ", text, re.M), path
        assert all(source.startswith("./") for source in re.findall(r'^  source\s*= "([^"]+)"', text, re.M)), path
    assert not list(module.rglob(".terraform.lock.hcl"))


@pytest.mark.parametrize("folder", EVERY_FOLDER, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_variable_has_type_description_example_and_validation(folder: Path) -> None:
    lacking = {
        name: [part for part in ("type", "description", "validation") if part not in variable]
        + ([] if "Example: `" in variable["description"] else ["example"])
        for name, variable in variables(folder).items()
    }
    assert {name: parts for name, parts in lacking.items() if parts} == {}
    assert all(output["description"] for output in outputs(folder).values())


@of_every_module
def test_the_tables_of_the_readme_are_those_of_the_code(module: Path) -> None:
    assert (module / "README.md").read_text() == module_docs.with_tables(module), "run python tests/modules/module_docs.py"


@of_every_module
def test_the_readmes_links_lead_somewhere(module: Path) -> None:
    links = [
        link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", (module / "README.md").read_text()) if "://" not in link
    ]
    assert [link for link in links if link and not (module / link).exists()] == []


@of_every_module
def test_the_registry_of_an_ims_packs_the_whole_module(module: Path, tmp_path: Path) -> None:
    assert system_of(module) == SYSTEMS[module.name]
    pack_module(module, tmp_path / "module.zip")
    with zipfile.ZipFile(tmp_path / "module.zip") as archive:
        packed = set(archive.namelist())
    kept = (path for path in module.rglob("*") if path.is_file() and ".terraform" not in str(path))
    assert packed == {path.relative_to(module).as_posix() for path in kept}


@of_every_module
def test_the_complete_example_uses_every_input(module: Path) -> None:
    text = (module / "examples/complete/main.tf").read_text()
    assert [name for name in variables(module) if not re.search(rf"^  {name}\s*=", text, re.M)] == []


@pytest.mark.service
def test_all_hcl_is_formatted() -> None:
    program = shutil.which("terraform") or shutil.which("tofu")
    if program is None:
        pytest.skip("neither terraform nor tofu is on PATH")
    done = subprocess.run(
        [program, "fmt", "-check", "-recursive", str(ROOT / "modules"), str(ROOT / "terraform")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout == ""
