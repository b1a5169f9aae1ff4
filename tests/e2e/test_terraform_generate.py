"""`exclave terraform generate`: what is in the IMS becomes a definition whose first apply only imports."""

import copy
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_app import DEPLOYED, MAIN, SmallApp, open_stage
from stage import ROOT, Finished, Stage

AWKWARD = 'He said "${install}" and %{if}, $${x}, C:\\new\n\ttab, ☃ and {{ inputs.x }}\n'
SECRET = "canary-hush"
EXAMPLE = ROOT / "terraform" / "examples" / "every-kind"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An IMS with two apps. The museum is deployed, and has then been changed through the API; the zoo waits."""
    with open_stage(tmp_path_factory.mktemp("vendor")) as stage:
        museum = SmallApp.write(stage, "museum", MAIN.replace('"first" }', f'"{SECRET}" }}') + DEPLOYED)
        museum.apply(join=True)
        SmallApp.write(stage, "zoo", MAIN.replace('"first" }', f'"{SECRET}" }}')).apply()
        change(stage)
        yield stage


def change(stage: Stage) -> None:
    """What a vendor may have set through the API: values that HCL needs care with."""
    specs = stage.get("/v1/apps/zoo")["inputs"]
    specs += [
        {"name": "for", "type": "list", "required": False, "default": ["a", {"b": AWKWARD, "less": "<&>"}], "group": "Odd"},
        {"name": "size", "type": "number", "required": False, "default": 1.5, "description": AWKWARD},
        {"name": "on-call", "type": "bool", "required": False, "default": True},
        {"name": "tags", "type": "map", "required": False},
    ]
    stage.call("PUT", "/v1/apps/zoo", {"description": AWKWARD, "inputs": specs})
    install = {
        "inputs": {"colour": AWKWARD, "for": ["x", AWKWARD], "size": 80, "on-call": False, "tags": {"null": None, "$${": 1}},
        "labels": {"region": "eu", "a.b/C": "1.0", "null": "", "9": "nine"},
        "approval": "customer",
        "approval_timeout_hours": 48,
        "drift_check_hours": 24,
    }
    stage.call("PUT", "/v1/installs/zoo", install)
    stage.post(
        "/v1/installs",
        {"app_id": "zoo", "name": "zoo-2_b", "inputs": {"colour": "red"}, "sensitive_inputs": {"secret": SECRET}},
    )
    stage.call("PUT", "/v1/installs/museum", {"inputs": {"colour": "blue"}})


def vendor_in(stage: Stage, folder: Path) -> Stage:
    """The vendor engineer in another Terraform folder."""
    own = copy.copy(stage)
    own.work = folder
    return own


def must(done: Finished) -> str:
    assert done.code == 0, done.output
    return done.output


def plan_and_apply(vendor: Stage) -> str:
    """The first plan, after which everything was applied, and planned again to no changes, also without the import blocks."""
    must(vendor.terraform("fmt", "-check", "-diff"))
    must(vendor.terraform("init", "-no-color", "-input=false"))
    planned = must(vendor.terraform("plan", "-no-color", "-input=false"))
    must(vendor.terraform("apply", "-no-color", "-input=false", "-auto-approve"))
    (vendor.work / "imports.tf").unlink()
    must(vendor.terraform("plan", "-no-color", "-input=false", "-detailed-exitcode"))
    return planned


def history(stage: Stage) -> Any:
    return stage.get("/v1/events?order=desc&limit=1")["items"][0]["seq"]


def test_everything_is_imported_and_nothing_is_changed(stage: Stage, tmp_path: Path) -> None:
    before = history(stage)
    folder = tmp_path / "new" / "definition"
    done = stage.exclave("terraform", "generate", "--output", str(folder), "--json")
    said = json.loads(must(done))
    assert said["files"] == sorted(path.name for path in folder.iterdir())
    assert said["files"] == ["imports.tf", "museum.tf", "variables.tf", "versions.tf", "zoo.tf"]
    assert said["left_out"] == []
    assert set(said["imports"].values()) == {
        *("museum", "museum/base", "museum/site", "museum/1", "zoo", "zoo/base", "zoo/site", "zoo-2_b"),
    }
    assert len(said["imports"]) == len(set(said["imports"])) == 11

    planned = plan_and_apply(vendor_in(stage, folder))
    assert "Plan: 11 to import, 0 to add, 0 to change, 0 to destroy." in planned
    assert history(stage) == before, "the apply has written to the IMS"


def test_the_same_ims_gives_the_same_text(stage: Stage, tmp_path: Path) -> None:
    for name in ("one", "two"):
        must(stage.exclave("terraform", "generate", "--output", str(tmp_path / name)))
    one, two = ({path.name: path.read_text() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_no_secret_is_written(stage: Stage, tmp_path: Path) -> None:
    must(stage.exclave("terraform", "generate", "--output", str(tmp_path)))
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert SECRET not in text
    assert "sensitive_inputs = var.zoo-2_b_sensitive_inputs" in re.sub(" +", " ", text)


def test_a_lost_definition_is_written_again_beside_its_modules(stage: Stage, tmp_path: Path) -> None:
    folder = stage.folder / "work" / "museum"
    kept = {name: (folder / name).rename(tmp_path / name) for name in ("main.tf", "terraform.tfstate")}
    refused = stage.exclave("terraform", "generate", "--app", "museum", "--output", str(folder))
    assert (refused.code, "has files in it" in refused.output) == (1, True)
    try:
        must(stage.exclave("terraform", "generate", "--app", "museum", "--output", str(folder), "--force"))
        text = (folder / "museum.tf").read_text()
        assert 'path = "${path.module}/modules/part"' in text
        assert "exclave_terraform_module_component.base.version" in text
        assert "The inputs have changed since (version 2), and are not deployed yet." in text
        assert "Plan: 6 to import, 0 to add, 0 to change, 0 to destroy." in plan_and_apply(vendor_in(stage, folder))
    finally:
        for name in ("museum.tf", "imports.tf", "variables.tf", "versions.tf"):
            (folder / name).unlink(missing_ok=True)
        for name, path in kept.items():
            path.replace(folder / name)


def test_the_variable_sets_the_secret(stage: Stage, tmp_path: Path) -> None:
    must(stage.exclave("terraform", "generate", "--app", "zoo", "--output", str(tmp_path)))
    vendor = vendor_in(stage, tmp_path)
    must(vendor.terraform("init", "-no-color", "-input=false"))
    done = vendor.terraform("plan", "-no-color", "-input=false", variables={"zoo_sensitive_inputs": '{secret="new"}'})
    assert "Plan: 5 to import, 0 to add, 1 to change, 0 to destroy." in must(done)


def test_every_kind_of_component_is_imported_unchanged(stage: Stage, tmp_path: Path) -> None:
    example = vendor_in(stage, tmp_path / "example")
    shutil.copytree(EXAMPLE, example.work, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    must(example.terraform("init", "-no-color", "-input=false"))
    must(example.terraform("apply", "-no-color", "-input=false", "-auto-approve"))
    try:
        folder = tmp_path / "generated"
        must(stage.exclave("terraform", "generate", "--app", "studio", "--output", str(folder)))
        assert "Plan: 9 to import, 0 to add, 0 to change, 0 to destroy." in plan_and_apply(vendor_in(stage, folder))
    finally:
        must(example.terraform("destroy", "-no-color", "-input=false", "-auto-approve"))


def test_an_unknown_app_and_a_wrong_token_leave_no_folder(stage: Stage, tmp_path: Path) -> None:
    done = stage.exclave("terraform", "generate", "--app", "nowhere", "--output", str(tmp_path / "x"))
    assert done.code == 4
    assert "nowhere" in done.output
    assert not (tmp_path / "x").exists()
