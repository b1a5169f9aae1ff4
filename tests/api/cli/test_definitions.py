"""What the IMS holds becomes a definition: what is in it, what isn't, and under which names."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from api.cli import exclave
from api.cli.definitions import Definition, Holdings, define
from api.contract.components import (
    Component,
    ComponentConfig,
    ContainerImageConfig,
    CustomConfig,
    DockerBuildConfig,
    GitSource,
    HelmChartConfig,
    HelmRepository,
    KubernetesManifestConfig,
    PathSource,
    Source,
    TerraformModuleConfig,
)
from api.contract.image_sources import RegistryImage
from api.contract.resources import App, Deploy, Install, Release, ReleaseBuild

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DIGEST = f"sha256:{'0' * 64}"
GIT = TerraformModuleConfig(source=Source(git=GitSource(url="https://git.example.com/x.git", ref="v1")))


def app(name: str) -> App:
    return App(id=f"app_{name}", name=name, description="", inputs=[], labels={}, version=1, created_at=NOW, updated_at=NOW)


def component(of: str, name: str, config: ComponentConfig = GIT, version: int = 1) -> Component:
    kind = config.kind
    at = {"created_at": NOW, "updated_at": NOW}
    return Component(id=f"cmp_{name}", app_id=f"app_{of}", name=name, kind=kind, version=version, config=config, **at)


def release(of: str, number: int, status: Any = "ready", **versions: int) -> Release:
    build = {"kind": "terraform_module", "build_id": "bld", "reused": False, "status": "succeeded", "source_revision": None}
    builds = [
        ReleaseBuild(component=name, component_version=version, digest=DIGEST, failure=None, waiting_for="", **build)
        for name, version in versions.items()
    ]
    return Release(
        id=f"rel_{number}",
        app_id=f"app_{of}",
        number=number,
        status=status,
        builds=builds,
        labels={},
        failure=None,
        created_at=NOW,
        ended_at=NOW,
    )


def install(of: str, name: str, inputs_version: int = 1) -> Install:
    return Install.model_validate(
        {
            **{field: None for field in Install.model_fields},
            **{"id": f"ins_{name}", "app_id": f"app_{of}", "name": name, "approval": "auto", "version": 1, "components": []},
            **{"inputs": {}, "sensitive_fingerprints": {}, "labels": {}, "inputs_version": inputs_version, "heal_drift": False},
            **{"created_at": NOW, "updated_at": NOW},
        }
    )


def deploy(of: str, release_id: str | None, status: str = "succeeded", kind: str = "deploy") -> Deploy:
    return Deploy.model_validate(
        {
            **{field: None for field in Deploy.model_fields},
            **{
                "id": "dep",
                "install_id": f"ins_{of}",
                "app_id": "app",
                "release_id": release_id,
                "kind": kind,
                "status": status,
            },
            **{"approval": "auto", "inputs_version": 1, "steps": [], "left_out": [], "outputs": {}, "sensitive_outputs": {}},
            **{"waiting_for": "", "version": 1, "created_by": "", "created_at": NOW, "install_name": "", "app_name": ""},
        }
    )


def shop(**held: Any) -> Definition:
    empty: dict[str, Any] = {"components": [], "releases": [], "installs": [], "newest": {}}
    return define([Holdings(app=app("shop"), **{**empty, **held})], Path("/work"))


def test_a_component_name_that_two_apps_have_gets_the_apps_name() -> None:
    def holdings(name: str) -> Holdings:
        return Holdings(app(name), [component(name, "web"), component(name, f"{name}-own")], [], [], {})

    found = define([holdings("b"), holdings("a")], Path("/work"))
    assert [address.split(".")[1] for address in found.imported] == ["a", "a-own", "a_web", "b", "b-own", "b_web"]
    assert found.imported["exclave_terraform_module_component.b_web"] == "b/web"


def test_names_never_collide() -> None:
    held = [
        Holdings(app(name), [component(name, one) for one in components], [], [], {})
        for name, components in {"a": ["b_c", "x"], "a_b": ["c", "x"], "c": ["b_c", "c", "a_b_c"]}.items()
    ]
    found = define(held, Path("/work"))
    assert len(found.imported) == 3 + 2 + 2 + 3
    assert found.imported["exclave_terraform_module_component.a_b_c"] == "a/b_c"
    assert found.imported["exclave_terraform_module_component.a_b_c_2"] == "a_b/c"


def test_only_the_newest_ready_release_and_those_that_run_are_written() -> None:
    found = shop(
        components=[component("shop", "web", version=4)],
        releases=[release("shop", n, status, web=n) for n, status in enumerate(["ready", "ready", "ready", "failed"], 1)],
        installs=[install("shop", "acme")],
        newest={"ins_acme": deploy("acme", "rel_1")},
    )
    assert [key for key in found.imported if "release" in key] == ["exclave_release.shop_1", "exclave_release.shop_3"]
    assert "release_id     = exclave_release.shop_1.id" in found.files["shop.tf"]


def test_the_newest_release_follows_its_components_and_an_older_one_does_not() -> None:
    found = shop(
        components=[component("shop", "web", version=2), component("shop", "db", version=1)],
        releases=[release("shop", 1, web=1, db=1, gone=1), release("shop", 2, web=2, db=1)],
        installs=[install("shop", "acme")],
        newest={"ins_acme": deploy("acme", "rel_1")},
    )
    text = " ".join(found.files["shop.tf"].split())
    assert "components = { db = 1 gone = 1 web = 1 }" in text
    kind = "exclave_terraform_module_component"
    assert f"components = {{ db = {kind}.db.version web = {kind}.web.version }}" in text


def test_what_an_apply_would_do_again_is_left_out_and_said() -> None:
    def with_newest(newest: Deploy) -> Definition:
        return shop(releases=[release("shop", 1)], installs=[install("shop", "acme")], newest={"ins_acme": newest})

    for status in ("failed", "running", "cancelled"):
        found = with_newest(deploy("acme", "rel_1", status))
        assert [one.what for one in found.left_out] == ["deployment to install acme"]
        assert f"is {status}: an apply would deploy." in found.files["shop.tf"]
        assert not [key for key in found.imported if "deployment" in key]
    assert with_newest(deploy("acme", None, kind="teardown")).left_out == []


def test_every_kind_of_component_is_written() -> None:
    folder = Source(path=PathSource(path="/work/x", digest=DIGEST))
    configs: list[ComponentConfig] = [
        GIT,
        HelmChartConfig(helm_repo=HelmRepository(repo_url="oci://r", chart="c", version="1"), values={"a.b": "{{ inputs.x }}"}),
        ContainerImageConfig(
            registry=RegistryImage(image_url="r/i", tag="1", password_secret="pull"), platforms=["linux/amd64"]
        ),
        DockerBuildConfig(source=folder, target="run"),
        KubernetesManifestConfig(manifest="a: 1\nb: ${x}\n"),
        CustomConfig(source=folder, command=["./run", "--all"]),
    ]
    found = shop(components=[component("shop", config.kind, config) for config in configs])
    assert set(found.imported) == {f"exclave_{each.kind}_component.{each.kind}" for each in configs} | {"exclave_app.shop"}
    text = " ".join(found.files["shop.tf"].split())
    assert 'helm_repo = { repo_url = "oci://r" chart = "c" version = "1" }' in text
    assert 'values = { "a.b" = "{{ inputs.x }}" }' in text
    assert 'platforms = ["linux/amd64"] registry { image_url = "r/i" tag = "1" password_secret = "pull" }' in text
    assert 'target = "run" path { path = "${path.module}/x" }' in text
    assert "manifest = <<EOT a: 1 b: $${x} EOT" in text
    assert 'command = ["./run", "--all"]' in text


def test_a_folder_that_is_not_here_is_said() -> None:
    config = TerraformModuleConfig(source=Source(path=PathSource(path="/nowhere/x", digest=DIGEST)))
    assert (
        "# There is no folder /nowhere/x on this machine"
        in shop(components=[component("shop", "web", config)]).files["shop.tf"]
    )


def test_a_git_source_says_what_differs_from_the_defaults() -> None:
    text = " ".join(shop(components=[component("shop", "web")]).files["shop.tf"].split())
    assert 'git { url = "https://git.example.com/x.git" ref = "v1" }' in text


def test_a_folder_with_files_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "main.tf").touch()
    done = CliRunner().invoke(exclave, ["terraform", "generate", "--output", str(tmp_path)], env={"EXCLAVE_TOKEN": ""})
    assert done.exit_code == 1
    assert "has files in it. Name another folder, or say --force." in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["main.tf"]
