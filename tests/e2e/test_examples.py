"""Every example under terraform/examples runs as its README says: applied, planned again to no changes, and destroyed."""

import copy
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from small_app import open_stage
from stage import ROOT, Stage

EXAMPLES = ROOT / "terraform" / "examples"


@dataclass(frozen=True)
class Example:
    """How to run one. `customers` join while it is applied; `says` is in the words of its first apply."""

    customers: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    before: Callable[[Stage], None] = lambda _: None
    after: Callable[[Stage], None] = lambda _: None


def make_existing(vendor: Stage) -> None:
    """What the README of import-existing has people do first."""
    environment = vendor.terraform_environment()
    done = subprocess.run(["sh", "make.sh"], cwd=vendor.work, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def no_license_in_the_state(vendor: Stage) -> None:
    state = (vendor.work / "terraform.tfstate").read_text()
    assert "LICENSE-1234" not in state
    assert "correct-horse" in state, "the README says so of sensitive inputs"
    assert (vendor.work / "fern.token").stat().st_mode & 0o777 == 0o600


KINDS = {
    **{"cache": "container_image", "database": "terraform_module", "migrate": "custom", "renderer": "container_image"},
    **{"settings": "kubernetes_manifest", "web": "helm_chart", "web_image": "docker_build"},
}

RUN = {
    "quickstart": Example(("acme",), ('"service.url" = "https://acme.example"',), {"admin_password": "correct-horse"}),
    "many-installs": Example(("acme", "bolt", "cora"), ('"bolt" = "https://bolt.example"', '"acme",\n  "cora",\n]')),
    "monorepo": Example(("dune",), ('"web.address" = "https://dune.example in net-dune"',)),
    "import-existing": Example(says=("3 imported, 0 added, 0 changed, 0 destroyed",), before=make_existing),
    "secrets": Example(variables={"license": "LICENSE-1234", "admin_password": "correct-horse"}, after=no_license_in_the_state),
    "every-kind": Example(says=tuple(f'"{name}" = "{kind}"' for name, kind in KINDS.items())),
    "custom-component": Example(says=('status = "ready"',)),
}
ELSEWHERE = {"cdktf-quickstart", "helm-chart", "private-images"}
"""What other tests run."""


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == RUN.keys() | ELSEWHERE
    assert [path.name for path in EXAMPLES.iterdir() if not (path / "README.md").exists()] == []


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Stage]:
    with open_stage(tmp_path) as stage:
        yield stage


def join_all(vendor: Stage, customers: tuple[str, ...]) -> None:
    threads = [threading.Thread(target=vendor.join, args=(name,)) for name in customers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("name", RUN)
def test_an_example_is_applied_planned_and_destroyed(name: str, vendor: Stage) -> None:
    example = RUN[name]
    own = copy.copy(vendor)
    own.work = vendor.folder / "work"
    shutil.copytree(EXAMPLES / name, own.work, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "customer"))
    example.before(own)

    def run(*arguments: str, code: int = 0) -> str:
        meanwhile = (lambda: join_all(own, example.customers)) if arguments[0] == "apply" and example.customers else None
        done = own.terraform(*arguments, "-no-color", variables=example.variables, meanwhile=meanwhile)
        assert done.code == code, done.output
        return done.output

    run("init", "-input=false")
    run("validate")
    said = run("apply", "-input=false", "-auto-approve")
    assert [each for each in example.says if each not in said] == [], said
    run("plan", "-input=false", "-detailed-exitcode")
    example.after(own)
    run("destroy", "-input=false", "-auto-approve")
    assert vendor.get("/v1/apps")["items"] == []
    assert vendor.get("/v1/installs")["items"] == []


def test_the_chart_s_example_is_valid_and_planned(vendor: Stage) -> None:
    """Its chart is deployed in tests/agent/install/helm_chart: here are no registries to mirror its image from."""
    own = copy.copy(vendor)
    own.work = vendor.folder / "chart"
    shutil.copytree(EXAMPLES / "helm-chart", own.work, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    for command in (("init", "-input=false"), ("validate",), ("plan", "-input=false")):
        done = own.terraform(*command, "-no-color", variables={"api_key": "key-of-acme"})
        assert done.code == 0, done.output
    assert "Plan: 5 to add" in done.output
