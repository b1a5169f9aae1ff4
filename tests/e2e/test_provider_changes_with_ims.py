"""The provider on the real IMS: larger edits in one apply each, and applies that don't end as planned."""

import shutil
from collections.abc import Iterator

import pytest
from kept_states import addresses
from small_app import APP, BASE, DEPLOYED, DEPLOYMENT, INSTALL, MAIN, RELEASE, SITE, SmallApp, open_stage
from stage import Stage, wait_for


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("vendor")) as stage:
        yield stage


@pytest.fixture(scope="module")
def deployed(stage: Stage) -> SmallApp:
    app = SmallApp.write(stage, "garden", MAIN + DEPLOYED)
    app.apply(join=True)
    return app


@pytest.fixture
def garden(deployed: SmallApp) -> SmallApp:
    """An app that is deployed, and defined as at first."""
    definition = deployed.stage.work / "main.tf"
    first = (MAIN + DEPLOYED).replace("NAME", deployed.name)
    if definition.read_text() != first:
        definition.write_text(first)
        deployed.apply()
    return deployed


def test_an_input_comes_with_its_uses_in_one_apply_and_goes_with_them_in_one(garden: SmallApp) -> None:
    edits = [
        ('colour = { type = "string" }', 'colour = { type = "string" }\n    size   = { type = "number" }'),
        ("{{ inputs.colour }} on", "{{ inputs.colour }} {{ inputs.size }} on"),
        ('colour = "green"', 'colour = "green", size = 3'),
    ]
    for old, new in edits:
        garden.edit(old, new)
    assert garden.planned() == dict.fromkeys((APP, SITE, INSTALL, RELEASE, DEPLOYMENT), "updated")
    garden.apply()
    assert garden.planned() == {}
    assert garden.outputs() == {"base": "garden", "site": "green 3 on garden"}

    for old, new in edits:
        garden.edit(new, old)
    assert garden.planned() == dict.fromkeys((APP, SITE, INSTALL, RELEASE, DEPLOYMENT), "updated")
    garden.apply()
    assert garden.planned() == {}
    assert garden.outputs() == {"base": "garden", "site": "green on garden"}


def test_a_component_is_renamed_in_one_apply(garden: SmallApp) -> None:
    garden.edit('name      = "base"', 'name      = "ground"')
    garden.edit("components.base.outputs", "components.ground.outputs")
    garden.edit("base = exclave", "ground = exclave")
    assert garden.planned() == {BASE: "replaced", SITE: "updated", RELEASE: "updated", DEPLOYMENT: "updated"}
    garden.apply()
    assert garden.planned() == {}
    assert garden.outputs() == {"ground": "garden", "site": "green on garden"}


def test_two_components_swap_their_names_in_one_apply(garden: SmallApp) -> None:
    garden.edit('name      = "base"', 'name      = "other"')
    garden.edit('name   = "site"', 'name   = "base"')
    garden.edit('name      = "other"', 'name      = "site"')
    garden.edit("components.base.outputs", "components.site.outputs")
    garden.edit("base = exclave_terraform_module_component.base", "site = exclave_terraform_module_component.base")
    garden.edit("site = exclave_terraform_module_component.site", "base = exclave_terraform_module_component.site")
    garden.apply()
    assert garden.planned() == {}
    assert garden.outputs() == {"site": "garden", "base": "green on garden"}


def test_an_app_and_an_install_named_instead_of_by_id_stay_what_they_are(garden: SmallApp) -> None:
    deploys = len(garden.deploys())
    garden.edit("= exclave_app.this.id", "= exclave_app.this.name")
    garden.edit("= exclave_install.this.id", "= exclave_install.this.name")
    assert garden.planned() == dict.fromkeys((BASE, SITE, INSTALL, RELEASE, DEPLOYMENT), "updated")
    garden.apply()
    assert garden.planned() == {}
    assert len(garden.deploys()) == deploys


def test_a_reference_between_two_components_is_turned_round_in_one_apply(garden: SmallApp) -> None:
    garden.edit('"{{ inputs.colour }} on {{ components.base.outputs.text }}"', '"{{ inputs.colour }}"')
    garden.edit('"{{ install.name }}"', '"{{ install.name }} under {{ components.site.outputs.text }}"')
    garden.apply()
    assert garden.planned() == {}
    assert garden.outputs() == {"base": "garden under green", "site": "green"}


def test_another_bundle_engine_is_a_new_version_of_the_component_alone(garden: SmallApp) -> None:
    before = {name: garden.get(f"/components/{name}")["version"] for name in ("base", "site")}
    garden.edit('name      = "base"', 'name      = "base"\n  bundle_engine = "never"')
    assert garden.planned() == {BASE: "updated", RELEASE: "updated", DEPLOYMENT: "updated"}
    garden.apply()
    assert garden.planned() == {}
    assert garden.get("/components/base")["version"] == before["base"] + 1
    assert garden.get("/components/site")["version"] == before["site"]


SHORT = DEPLOYED.replace(
    "  inputs_version = exclave_install.this.inputs_version\n",
    '  inputs_version = exclave_install.this.inputs_version\n  timeouts       = { create = "2s" }\n',
)
"""A deployment that isn't waited for long."""


def test_a_deploy_that_outlasts_its_timeout_is_taken_up_by_the_next_apply(stage: Stage) -> None:
    assert SHORT != DEPLOYED
    app = SmallApp.write(stage, "slow", MAIN + SHORT)
    said = app.refused()
    (deploy,) = app.deploys()
    for words in ("has not ended within 2 seconds", "goes on without Terraform", f"exclave deploys cancel {deploy['id']}"):
        assert words in said
    app.edit('create = "2s"', 'create = "15m"')
    app.apply(join=True)
    assert app.planned() == {}
    assert [one["id"] for one in app.deploys()] == [deploy["id"]]


def test_a_teardown_that_outlasts_its_timeout_is_followed_by_the_next_destroy(stage: Stage) -> None:
    app = SmallApp.write(stage, "clinging", MAIN + SHORT.replace("create", "delete"))
    app.apply(join=True)
    stage.processes.pop("clinging/agent").stop()
    said = app.refused("destroy")
    teardown = app.deploys()[-1]
    for words in ("The teardown goes on", "has not ended within 2 seconds", f"exclave deploys show {teardown['id']} --follow"):
        assert words in said
    stage.start_agent("clinging")
    wait_for("the teardown", lambda: stage.get(f"/v1/deploys/{teardown['id']}")["ended_at"])
    app.run("destroy", "-auto-approve", "-input=false")
    assert stage.find("/v1/apps/clinging") is None
    assert stage.get("/v1/deploys?order=desc&limit=1")["items"][0]["id"] == teardown["id"]


def test_a_destroy_while_a_deploy_is_under_way_says_how_to_end_it(stage: Stage) -> None:
    app = SmallApp.write(stage, "stuck", MAIN + SHORT)
    app.refused()
    (deploy,) = app.deploys()
    remedy = f"exclave deploys cancel {deploy['id']}"
    said = app.refused("destroy")
    assert "still under way on install 'stuck'" in said
    assert remedy in said
    assert stage.exclave(*remedy.split()[1:]).code == 0
    app.run("destroy", "-auto-approve", "-input=false")
    assert stage.find("/v1/apps/stuck") is None
    assert stage.find("/v1/installs/stuck") is None


def test_a_second_run_while_a_deploy_is_under_way_says_whose_turn_it_is(stage: Stage) -> None:
    first = SmallApp.write(stage, "busy", MAIN + DEPLOYED)
    running = first.stage.start_terraform("apply", "-auto-approve", "-input=false", "-no-color")
    wait_for("the first run's deploy", lambda: stage.find("/v1/installs/busy") and first.deploys())
    (deploy,) = first.deploys()

    second = SmallApp.write(stage, "busy", MAIN + DEPLOYED, folder="busy-elsewhere")
    shutil.copy(first.stage.work / "terraform.tfstate", second.stage.work)
    second.edit("{{ inputs.colour }} on", "{{ inputs.colour }} over")
    said = second.refused()
    remedy = f"exclave deploys cancel {deploy['id']}"
    assert f"deploy {deploy['id']} is still under way on install 'busy'" in said
    assert remedy in said

    assert stage.exclave(*remedy.split()[1:]).code == 0
    output, _ = running.communicate(timeout=240)
    assert running.returncode == 1
    assert "The deploy was cancelled" in output
    second.apply(join=True)
    assert second.planned() == {}
    assert second.outputs() == {"base": "busy", "site": "green over busy"}


def test_a_destroy_after_a_first_deploy_that_failed_half_way_leaves_nothing(stage: Stage) -> None:
    first, second = MAIN.split('"./modules/part"', 1)
    app = SmallApp.write(
        stage, "half", first + '"./modules/part"' + second.replace("./modules/part", "./modules/broken") + DEPLOYED
    )
    broken = app.stage.work / "modules" / "broken"
    shutil.copytree(broken.with_name("part"), broken)
    (broken / "broken.tf").write_text(
        'resource "terraform_data" "broken" {\n  depends_on = [terraform_data.part]\n'
        '  provisioner "local-exec" {\n    command = "exit 7"\n  }\n}\n'
    )
    done = app.start("apply", "-auto-approve", "-input=false", "-no-color", join=True)
    assert done.code == 1
    assert "site: apply failed" in done.output
    assert DEPLOYMENT not in app.run("state", "list")
    assert {one["name"]: one["status"] for one in app.install()["components"]} == {"base": "deployed", "site": "failed"}

    assert {name: bool(found) for name, found in addresses(stage.customer("half") / "agent").items()} == {
        "base": True,
        "site": True,
    }

    app.run("destroy", "-auto-approve", "-input=false")
    assert stage.find("/v1/apps/half") is None
    assert stage.find("/v1/installs/half") is None
    assert addresses(stage.customer("half") / "agent") == {}
