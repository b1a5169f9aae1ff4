"""What is there without Terraform's doing, with real Terraform: drift, imports, data sources."""

import pytest
from fake_ims import FakeIms
from terraform_cli import Terraform


def test_changes_behind_terraforms_back_are_found_and_mended(applied: Terraform, ims: FakeIms) -> None:
    install = ims.install("acme")
    ims.installs[install.id] = install.model_copy(update={"inputs": {"domain": "evil.example"}, "inputs_version": 2})
    app = ims.app("shop")
    ims.apps[app.id] = app.model_copy(update={"description": "defaced"})
    component = ims.component("shop", "network")
    config = component.config.model_copy(update={"variables": {"domain": "defaced"}})
    ims.components[component.id] = component.model_copy(update={"config": config, "version": 7})

    planned = applied.plan()
    assert planned.code == 2
    for found in ("defaced", "evil.example"):
        assert found in planned.output
    done = applied.apply()
    assert done.code == 0, done.output
    assert ims.app("shop").description == "A web shop."
    assert ims.component("shop", "network").version == 8
    assert ims.install("acme").inputs == {"domain": "acme.example"}
    assert applied.plan().code == 0


def test_a_sensitive_input_changed_behind_terraforms_back_is_written_again(applied: Terraform, ims: FakeIms) -> None:
    install = ims.install("acme")
    right = install.sensitive_fingerprints
    ims.installs[install.id] = install.model_copy(update={"sensitive_fingerprints": {"db_password": "another"}})
    planned = applied.plan()
    assert planned.code == 2
    assert "sensitive_inputs" in planned.output
    assert applied.apply().code == 0
    assert ims.install("acme").sensitive_fingerprints == right
    assert applied.plan().code == 0


def test_what_is_deleted_behind_terraforms_back_is_made_again(applied: Terraform, ims: FakeIms) -> None:
    ims.components.clear()
    ims.deploys.clear()
    planned = applied.plan()
    assert "3 to add" in planned.output
    assert applied.apply().code == 0
    assert applied.plan().code == 0


def test_another_release_deployed_behind_terraforms_back_is_replaced_by_ours(applied: Terraform, ims: FakeIms) -> None:
    last = list(ims.deploys.values())[-1]
    other = last.model_copy(update={"id": ims.new_id("dep"), "release_id": "rel_other"})
    ims.deploys[other.id] = other
    planned = applied.plan()
    assert planned.code == 2
    assert "rel_other" in planned.output
    assert applied.apply().code == 0
    assert list(ims.deploys.values())[-1].release_id == applied.state("exclave_release.current")["id"]
    assert applied.plan().code == 0


@pytest.mark.parametrize(
    ("address", "import_id"),
    [
        ("exclave_app.shop", "shop"),
        ("exclave_terraform_module_component.network", "shop/network"),
        ("exclave_terraform_module_component.service", "shop/service"),
        ("exclave_release.current", "shop/1"),
        ("exclave_deployment.acme", "acme"),
    ],
)
def test_everything_is_imported_by_name_and_the_next_plan_is_empty(applied: Terraform, address: str, import_id: str) -> None:
    by_id = applied.state(address)["id"]
    app = applied.state("exclave_app.shop")["id"]
    applied.forget(address)
    done = applied.import_(address, import_id)
    assert done.code == 0, done.output
    assert applied.state(address)["id"] == by_id
    planned = applied.plan()
    assert planned.code == 0, planned.output

    applied.forget(address)
    done = applied.import_(address, f"{app}/{by_id}" if "component" in address else by_id)
    assert done.code == 0, done.output


def test_an_imported_install_writes_its_sensitive_inputs_once(applied: Terraform) -> None:
    applied.forget("exclave_install.acme")
    assert applied.import_("exclave_install.acme", "acme").code == 0
    planned = applied.plan()
    assert planned.code == 2
    assert "sensitive_inputs" in planned.output
    done = applied.apply()
    assert done.code == 0, done.output
    assert applied.plan().code == 0


def test_an_import_of_what_is_not_there_says_so(applied: Terraform) -> None:
    applied.forget("exclave_terraform_module_component.network")
    assert "there is no 'nothing'" in applied.import_("exclave_terraform_module_component.network", "shop/nothing").output
    assert "have the form `app/component`" in applied.import_("exclave_terraform_module_component.network", "network").output


def test_data_sources_read_by_id_and_by_name(applied: Terraform) -> None:
    applied.write(
        """
        data "exclave_app" "by_name" { name = exclave_app.shop.name }
        data "exclave_app" "by_id" { id = exclave_app.shop.id }
        data "exclave_terraform_module_component" "network" {
          app_id = "shop"
          name   = exclave_terraform_module_component.network.name
        }
        data "exclave_install" "acme" { name = exclave_install.acme.name }
        data "exclave_release" "newest" { app_id = exclave_release.current.app_id }
        data "exclave_release" "numbered" {
          app_id = exclave_release.current.app_id
          number = 1
        }
        data "exclave_deployment" "acme" { install_id = exclave_deployment.acme.install_id }

        output "read" {
          value = {
            zones    = jsondecode(data.exclave_app.by_name.inputs.zones.default)
            same     = data.exclave_app.by_name == data.exclave_app.by_id
            version  = data.exclave_terraform_module_component.network.version
            domain   = data.exclave_install.acme.inputs.domain
            releases = [data.exclave_release.newest.number, data.exclave_release.numbered.number]
            status   = data.exclave_deployment.acme.status
          }
        }
        """,
        "data.tf",
    )
    done = applied.apply()
    assert done.code == 0, done.output
    assert applied.outputs()["read"] == {
        "zones": ["a", "b"],
        "same": True,
        "version": 1,
        "domain": "acme.example",
        "releases": [1, 1],
        "status": "succeeded",
    }
