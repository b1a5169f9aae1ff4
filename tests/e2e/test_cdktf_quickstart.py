"""The quickstart in Python is the quickstart in HCL: synthesised, applied, and planned one against the other."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engineer import apply, plan
from stage import ROOT, Stage

EXAMPLE = ROOT / "terraform" / "examples" / "cdktf-quickstart"


def synthesise(library: str, folder: Path) -> Path:
    """Run the example as a vendor engineer does, its import changed for another library. Returns the folder of the stack."""
    if not shutil.which("node"):
        pytest.skip("Node.js, on which the CDK libraries run, isn't installed")
    folder.mkdir()
    text = (EXAMPLE / "main.py").read_text()
    assert "from cdktn import (" in text
    (folder / "main.py").write_text(text.replace("from cdktn import (", f"from {library} import ("))
    ended = subprocess.run(
        [sys.executable, "main.py"], cwd=folder, capture_output=True, text=True, env={**os.environ, "EXCLAVE_URL": ""}
    )
    assert ended.returncode == 0, ended.stderr
    return folder / "cdktf.out" / "stacks" / "quickstart"


def define_with(vendor: Stage, *files: Path) -> None:
    """Put these files in the place of the definition; state and modules stay."""
    for old in [*vendor.work.glob("*.tf"), *vendor.work.glob("*.tf.json")]:
        old.unlink()
    for file in files:
        shutil.copy(file, vendor.work)
    # The libraries name the local backend, the HCL leaves it out: the same file, which Terraform would ask about.
    (vendor.work / ".terraform" / "terraform.tfstate").unlink(missing_ok=True)
    done = vendor.terraform("init", "-no-color", "-input=false")
    assert done.code == 0, done.output


def test_it_applies_and_plans_the_same_as_the_hcl(vendor: Stage, tmp_path: Path) -> None:
    stack = synthesise("cdktn", tmp_path / "cdktn")
    define_with(vendor, stack / "cdk.tf.json")
    done = apply(vendor, join="acme", modules="./modules")
    assert done.code == 0, done.output
    assert "net-acme" in done.output
    assert plan(vendor, modules="./modules").code == 0

    define_with(vendor, *(ROOT / "terraform" / "examples" / "quickstart").glob("*.tf"))
    done = plan(vendor)
    assert "No changes" in done.output, done.output

    if importlib.util.find_spec("cdktf"):
        define_with(vendor, synthesise("cdktf", tmp_path / "cdktf") / "cdk.tf.json")
        done = plan(vendor, modules="./modules")
        assert done.code == 0, done.output


def test_the_modules_are_found_from_the_folder_of_the_stack() -> None:
    stack = EXAMPLE / "cdktf.out" / "stacks" / "quickstart"
    assert '"../../../../quickstart/modules"' in (EXAMPLE / "main.py").read_text()
    assert Path(os.path.normpath(stack / "../../../../quickstart/modules/network/main.tf")).exists()
