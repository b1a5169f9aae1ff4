"""The bindings for CDKTF say what the provider's schema says, and synthesise to it on either library."""

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.contract import cdktn_bindings

LIBRARIES = ["cdktn", "cdktf"]

PROGRAM = """
import sys
from LIBRARY import App, TerraformOutput, TerraformResourceLifecycle, TerraformStack, Token
from exclave_cdktn import DataExclaveRelease, ExclaveApp, ExclaveInstall, ExclaveProvider, ExclaveTerraformModuleComponent

app = App(outdir=sys.argv[1])
stack = TerraformStack(app, "stack")
ExclaveProvider(stack, "exclave", url="https://ims.example.com")
other = ExclaveProvider(stack, "other", url="https://other.example.com", alias="other")
shop = ExclaveApp(stack, "shop", name="shop", inputs={"domain": {"required": False}}, provider=other)
part = ExclaveTerraformModuleComponent(
    stack, "part", app_id=shop.id, name="part",
    git={"url": "https://git.example.com/x.git"}, variables={"camelCase": "{{ inputs.domain }}", "a.b": "1"},
    lifecycle=TerraformResourceLifecycle(prevent_destroy=True), depends_on=[shop],
)
newest = DataExclaveRelease(stack, "newest", app_id=shop.name)
ExclaveInstall(stack, "acme", app_id=part.app_id, name="acme", inputs=newest.digests, drift_check_hours=newest.number)
TerraformOutput(stack, "inputs", value=shop.inputs)
app.synth()
"""


def synthesised(program: str, library: str, folder: Path) -> dict[str, Any]:
    """What a program for the library writes for its one stack."""
    if not importlib.util.find_spec(library):
        pytest.skip(f"{library} isn't installed")
    if not shutil.which("node"):
        pytest.skip("Node.js, on which the libraries run, isn't installed")
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.replace("LIBRARY", library), str(folder / "out")],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads((folder / "out" / "stacks" / "stack" / "cdk.tf.json").read_text())
    return found


def without_metadata(elements: dict[str, Any]) -> dict[str, Any]:
    """Elements by type and name, without what the libraries note about themselves."""
    return {
        f"{kind}.{name}": {key: value for key, value in one.items() if key != "//"}
        for kind, named in elements.items()
        for name, one in named.items()
    }


def test_the_bindings_are_fresh() -> None:
    assert cdktn_bindings.TARGET.read_text() == cdktn_bindings.generated(), "run `python -m api.contract.cdktn_bindings`"


@pytest.mark.e2e
@pytest.mark.parametrize("library", LIBRARIES)
def test_elements_become_the_json_that_terraform_reads(library: str, tmp_path: Path) -> None:
    document = synthesised(PROGRAM, library, tmp_path)
    assert document["provider"]["exclave"] == [
        {"url": "https://ims.example.com"},
        {"alias": "other", "url": "https://other.example.com"},
    ]
    assert document["terraform"]["required_providers"] == {"exclave": {"source": "exclave/exclave"}}
    assert without_metadata(document["resource"]) == {
        "exclave_app.shop": {"name": "shop", "inputs": {"domain": {"required": False}}, "provider": "exclave.other"},
        "exclave_terraform_module_component.part": {
            "app_id": "${exclave_app.shop.id}",
            "name": "part",
            "git": {"url": "https://git.example.com/x.git"},
            "variables": {"camelCase": "{{ inputs.domain }}", "a.b": "1"},
            "lifecycle": {"prevent_destroy": True},
            "depends_on": ["exclave_app.shop"],
        },
        "exclave_install.acme": {
            "app_id": "${exclave_terraform_module_component.part.app_id}",
            "name": "acme",
            "inputs": "${data.exclave_release.newest.digests}",
            "drift_check_hours": "${data.exclave_release.newest.number}",
        },
    }
    assert without_metadata(document["data"]) == {"exclave_release.newest": {"app_id": "${exclave_app.shop.name}"}}
    assert document["output"]["inputs"]["value"] == "${exclave_app.shop.inputs}"


EPHEMERAL = """
import sys
from LIBRARY import App, TerraformStack
from exclave_cdktn import EphemeralExclaveAgentEnrollment, ExclaveProvider, ExclaveTerraformModuleComponent
from exclave_cdktn.references import output, secret

app = App(outdir=sys.argv[1], context={"targetVersions": {"terraform": ">=1.11.0"}})
stack = TerraformStack(app, "stack")
ExclaveProvider(stack, "exclave")
variables = {"url": output("db", 'a"b'), "key": secret("key")}
part = ExclaveTerraformModuleComponent(stack, "part", app_id="a", name="part", path={"path": "x"}, variables=variables)
EphemeralExclaveAgentEnrollment(stack, "acme", kind="install", install_id=part.id)
app.synth()
"""


@pytest.mark.e2e
def test_ephemeral_resources_and_functions_are_written(tmp_path: Path) -> None:
    document = synthesised(EPHEMERAL, "cdktn", tmp_path)
    assert without_metadata(document["ephemeral"]) == {
        "exclave_agent_enrollment.acme": {"kind": "install", "install_id": "${exclave_terraform_module_component.part.id}"}
    }
    assert document["resource"]["exclave_terraform_module_component"]["part"]["variables"] == {
        "url": '${provider::exclave::output("db", "a\\"b")}',
        "key": '${provider::exclave::secret("key")}',
    }


def reload_library() -> None:
    sys.modules.pop("exclave_cdktn", None)
    sys.modules.pop("exclave_cdktn.library", None)
    importlib.import_module("exclave_cdktn.library")


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in LIBRARIES else find(name))
    with pytest.raises(ImportError, match=r"pip install 'exclave\[cdktn\]'"):
        reload_library()


def test_a_missing_node_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSII_NODE", "no-such-node")
    with pytest.raises(ImportError, match=r"needs Node\.js \(not npm\).*'no-such-node' on PATH"):
        reload_library()


WRONG = """
from cdktn import TerraformStack
from exclave_cdktn import ExclaveApp, ExclaveTerraformModuleComponent

def define(stack: TerraformStack) -> None:
    app = ExclaveApp(stack, "app", name="app", inputs={"domain": {"type": "string"}})
    part = ExclaveTerraformModuleComponent(stack, "part", app_id=app.id, name="part", path={"path": "x"})
    reveal_type(part.version)
    ExclaveApp(stack, "nameless")
    ExclaveApp(stack, "unknown", name="x", descriptoin="x")
    ExclaveApp(stack, "typed", name=1)
    ExclaveApp(stack, "nested", name="x", inputs={"domain": {"tpye": "string"}})
"""


@pytest.mark.e2e
def test_a_type_checker_finds_what_the_schema_does_not_take(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(WRONG)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache"), str(program)]
    ended = subprocess.run(mypy, capture_output=True, text=True, cwd=tmp_path)
    said = [line.removeprefix(f"{program.name}:") for line in ended.stdout.splitlines() if line.startswith(program.name)]
    assert [(line.split(":")[0], line.rsplit("[", 1)[-1].rstrip("]")) for line in said if " note: " not in line] == [
        ("9", "call-arg"),
        ("10", "call-arg"),
        ("11", "arg-type"),
        ("12", "typeddict-unknown-key"),
    ], ended.stdout
    assert '8: note: Revealed type is "float"' in "\n".join(said).replace("builtins.", "")
