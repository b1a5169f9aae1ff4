"""The provider on the real IMS: what is imported, read, and changed behind Terraform's back."""

import json
from collections.abc import Callable, Iterator

import pytest
from small_app import APP, BASE, DEPLOYED, DEPLOYMENT, INSTALL, MAIN, RELEASE, SITE, SmallApp, open_stage
from stage import Stage, wait_for


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("vendor")) as stage:
        yield stage


@pytest.fixture(scope="module")
def deployed(stage: Stage) -> SmallApp:
    app = SmallApp.write(stage, "museum", MAIN + DEPLOYED)
    app.apply(join=True)
    return app


@pytest.fixture
def museum(deployed: SmallApp) -> SmallApp:
    """An app that is deployed as it is defined."""
    if deployed.planned():
        deployed.apply()
    return deployed


@pytest.fixture
def forgotten(museum: SmallApp) -> Iterator[SmallApp]:
    """The museum, after its state was lost."""
    state = museum.stage.work / "terraform.tfstate"
    kept = state.rename(state.with_suffix(".lost"))
    yield museum
    kept.replace(state)


def ids(app: SmallApp) -> dict[str, str]:
    """The import id of everything, by address."""
    components = {one["name"]: one["id"] for one in app.get("/components")["items"]}
    app_id, install = app.get()["id"], app.install()["id"]
    return {
        APP: app_id,
        BASE: f"{app_id}/{components['base']}",
        SITE: f"{app_id}/{components['site']}",
        INSTALL: install,
        RELEASE: app.releases()[-1]["id"],
        DEPLOYMENT: install,
    }


def names(app: SmallApp) -> dict[str, str]:
    """The same by name."""
    return {
        APP: app.name,
        BASE: f"{app.name}/base",
        SITE: f"{app.name}/site",
        INSTALL: app.name,
        RELEASE: f"{app.name}/{app.releases()[-1]['number']}",
        DEPLOYMENT: app.name,
    }


SENSITIVE_INPUTS_WRITTEN = {INSTALL: "updated", DEPLOYMENT: "updated"}
"""The provider can't read sensitive inputs, so the install writes them once, and its deployment waits to see their version."""


def changed_attributes(app: SmallApp) -> dict[str, set[str]]:
    """Which attributes a plan changes of what is there, by address."""
    app.run("plan", "-input=false", "-out=planned")
    changes = json.loads(app.run("show", "-json", "planned"))["resource_changes"]
    found = {}
    for change in changes:
        before, after, unknown = (change["change"][name] for name in ("before", "after", "after_unknown"))
        found[change["address"]] = {name for name in before if unknown.get(name) or before[name] != after.get(name)}
    return {address: names for address, names in found.items() if names}


def test_import_blocks_by_id_take_everything_into_an_empty_state(forgotten: SmallApp) -> None:
    deploys = len(forgotten.deploys())
    blocks = forgotten.stage.work / "import.tf"
    blocks.write_text("".join(f'import {{\n  to = {to}\n  id = "{id}"\n}}\n' for to, id in ids(forgotten).items()))
    try:
        others = dict.fromkeys((APP, BASE, SITE, RELEASE), "imported")
        assert forgotten.planned() == others | SENSITIVE_INPUTS_WRITTEN
        forgotten.apply()
    finally:
        blocks.unlink()
    assert forgotten.planned() == {}
    assert len(forgotten.deploys()) == deploys, "what was written is what was there: nothing is deployed"


def test_a_definition_that_terraform_generates_while_it_imports_changes_nothing(stage: Stage, museum: SmallApp) -> None:
    header = MAIN[: MAIN.index("resource ")]
    blocks = "".join(f'import {{\n  to = {to}\n  id = "{id}"\n}}\n' for to, id in names(museum).items())
    finder = SmallApp.write(stage, museum.name, header + blocks, folder="finder")
    finder.run("plan", "-input=false", "-generate-config-out=generated.tf")
    assert finder.planned() == dict.fromkeys(names(museum), "imported")
    finder.apply()
    assert finder.planned() == {}


def test_import_commands_by_name_take_everything_into_an_empty_state(forgotten: SmallApp) -> None:
    deploys = len(forgotten.deploys())
    for address, name in names(forgotten).items():
        forgotten.run("import", "-input=false", address, name)
    assert forgotten.planned() == SENSITIVE_INPUTS_WRITTEN
    assert changed_attributes(forgotten) == {
        INSTALL: {"sensitive_inputs", "inputs_version"},
        DEPLOYMENT: {"inputs_version", "deploy_id", "status", "left_out", "outputs"},
    }
    forgotten.apply()
    assert forgotten.planned() == {}
    assert len(forgotten.deploys()) == deploys


def test_a_component_imported_in_another_checkout_only_moves_its_path(stage: Stage, museum: SmallApp) -> None:
    colleague = SmallApp.write(stage, museum.name, MAIN, folder="colleague")
    for address in (APP, BASE):
        colleague.run("import", "-input=false", address, names(museum)[address])
    before = museum.get("/components/base")
    colleague.run("apply", "-auto-approve", "-input=false", f"-target={BASE}")
    assert museum.get("/components/base")["version"] == before["version"]
    assert museum.planned() == {}


DATA = """
terraform {
  required_providers {
    exclave = { source = "exclave/exclave" }
  }
}

data "exclave_app" "by" { BY = "APP" }
data "exclave_install" "by" { BY = "INSTALL" }
data "exclave_terraform_module_component" "by" {
  app_id = data.exclave_app.by.id
  name   = "site"
}
data "exclave_release" "newest" { app_id = data.exclave_app.by.name }
data "exclave_release" "numbered" {
  app_id = data.exclave_app.by.id
  number = data.exclave_release.newest.number
}
data "exclave_release" "by_id" { id = data.exclave_release.newest.id }
data "exclave_deployment" "by" { install_id = data.exclave_install.by.BY }

output "all" {
  value = {
    inputs    = { for name, spec in data.exclave_app.by.inputs : name => spec.sensitive }
    colour    = data.exclave_install.by.inputs.colour
    agent     = data.exclave_install.by.agent_id
    component = data.exclave_terraform_module_component.by.variables.secret
    version   = data.exclave_terraform_module_component.by.version
    numbered  = data.exclave_release.numbered.components
    digests   = data.exclave_release.by_id.digests
    outputs   = data.exclave_deployment.by.outputs
    status    = data.exclave_deployment.by.status
  }
}
"""


@pytest.mark.parametrize("by", ["id", "name"])
def test_data_sources_read_everything(stage: Stage, museum: SmallApp, by: str) -> None:
    known = ids(museum) if by == "id" else names(museum)
    text = DATA.replace("BY", by).replace("APP", known[APP]).replace("INSTALL", known[INSTALL])
    reader = SmallApp.write(stage, museum.name, text, folder=f"reader-by-{by}")
    reader.apply()
    assert reader.planned() == {}
    release = museum.releases()[-1]
    assert reader.output("all") == {
        "inputs": {"colour": False, "secret": True},
        "colour": "green",
        "agent": museum.install()["agent_id"],
        "component": "{{ inputs.secret }}",
        "version": museum.get("/components/site")["version"],
        "numbered": {build["component"]: build["component_version"] for build in release["builds"]},
        "digests": {build["component"]: build["digest"] for build in release["builds"]},
        "outputs": {"base.text": "museum", "site.text": "green on museum"},
        "status": "succeeded",
    }


def change_the_app(app: SmallApp) -> None:
    inputs = [*app.get()["inputs"], {"name": "extra", "type": "string", "required": False}]
    app.stage.call("PUT", "/v1/apps/museum", {"description": "somebody else's", "inputs": inputs})


def change_a_component(app: SmallApp) -> None:
    config = app.get("/components/site")["config"]
    changed = {"config": {**config, "variables": {"text": "somebody else's"}}}
    app.stage.call("PUT", "/v1/apps/museum/components/site", changed)


def change_the_inputs(app: SmallApp) -> None:
    app.stage.call("PUT", "/v1/installs/museum", {"inputs": {"colour": "red"}})


def change_the_sensitive_inputs(app: SmallApp) -> None:
    body = {"inputs": {"colour": "green"}, "sensitive_inputs": {"secret": "somebody else's"}}
    app.stage.call("PUT", "/v1/installs/museum", body)


def deploy_another_release(app: SmallApp) -> None:
    version = app.get("/components/base")["version"]
    release = app.stage.post("/v1/releases", {"app_id": app.name, "components": {"base": version}})["id"]
    deploy = app.stage.post("/v1/deploys", {"install_id": app.name, "release_id": release})["id"]
    wait_for("the other deploy", lambda: app.stage.get(f"/v1/deploys/{deploy}")["status"] == "succeeded")
    assert app.outputs() == {"base": "museum"}


DRIFTS = [
    (deploy_another_release, {DEPLOYMENT}),
    (change_the_app, {APP}),
    (change_a_component, {SITE, RELEASE, DEPLOYMENT}),
    (change_the_inputs, {INSTALL, DEPLOYMENT}),
    (change_the_sensitive_inputs, {INSTALL, DEPLOYMENT}),
]


@pytest.mark.parametrize(("change", "addresses"), DRIFTS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_changed_behind_terraforms_back_is_mended(
    museum: SmallApp, change: Callable[[SmallApp], None], addresses: set[str]
) -> None:
    before, fingerprints = museum.get(), museum.install()["sensitive_fingerprints"]
    change(museum)
    assert museum.planned() == dict.fromkeys(addresses, "updated")
    museum.apply()
    assert museum.planned() == {}
    after = museum.get()
    assert (after["description"], after["inputs"]) == (before["description"], before["inputs"])
    assert museum.install()["sensitive_fingerprints"] == fingerprints
    assert museum.outputs() == {"base": "museum", "site": "green on museum"}


def test_a_component_deleted_behind_terraforms_back_is_made_again(museum: SmallApp) -> None:
    museum.stage.call("DELETE", "/v1/apps/museum/components/site")
    assert museum.planned() == {SITE: "created", RELEASE: "updated", DEPLOYMENT: "updated"}
    museum.apply()
    assert museum.planned() == {}
    assert museum.outputs() == {"base": "museum", "site": "green on museum"}


def test_a_plan_says_what_the_deployment_will_do(museum: SmallApp) -> None:
    museum.edit("}} on {{", "}} near {{")
    try:
        said = " ".join(museum.run("plan", "-input=false").split())
    finally:
        museum.edit("}} near {{", "}} on {{")
    assert "Warning: What this deployment will do" in said
    assert "site is updated:" in said
    assert "(sync → plan → apply)" in said
    assert "base is" not in said
    assert museum.planned() == {}


def tear_down(app: SmallApp) -> None:
    deploy = app.stage.post("/v1/deploys", {"install_id": app.name, "kind": "teardown"})
    wait_for("the teardown", lambda: app.stage.get(f"/v1/deploys/{deploy['id']}")["status"] == "succeeded")


def test_an_install_torn_down_behind_terraforms_back_is_deployed_again(museum: SmallApp) -> None:
    tear_down(museum)
    assert museum.planned() == {DEPLOYMENT: "created"}
    museum.apply()
    assert museum.planned() == {}
    assert museum.outputs() == {"base": "museum", "site": "green on museum"}


def test_an_install_deleted_behind_terraforms_back_is_made_again_for_a_new_agent(stage: Stage) -> None:
    app = SmallApp.write(stage, "gone", MAIN + DEPLOYED)
    app.apply(join=True)
    tear_down(app)
    stage.call("DELETE", "/v1/installs/gone")
    assert app.planned() == {INSTALL: "created", DEPLOYMENT: "created"}
    for name in ("gone/agent", "gone/registry"):
        stage.processes.pop(name).stop()
    (stage.customer("gone")).rename(stage.customer("left"))
    app.apply(join=True)
    assert app.planned() == {}
    assert app.outputs() == {"base": "gone", "site": "green on gone"}


def test_an_app_deleted_behind_terraforms_back_is_made_again_whole(stage: Stage) -> None:
    app = SmallApp.write(stage, "razed", MAIN)
    app.apply()
    for path in ("installs/razed", "apps/razed/components/base", "apps/razed/components/site", "apps/razed"):
        stage.call("DELETE", f"/v1/{path}")
    assert app.planned() == dict.fromkeys((APP, BASE, SITE, INSTALL), "created")
    app.apply()
    assert app.planned() == {}
