"""The vendor's way, with real Terraform: apply, plan again, change, drift, import, destroy."""

from pathlib import Path

import pytest
from fake_ims import FakeIms
from terraform_cli import Terraform

SHOP = """
    variable "password" {
      sensitive = true
      default   = "first-canary"
    }

    resource "exclave_app" "shop" {
      name        = "shop"
      description = "A web shop."
      inputs = {
        domain      = { default = "example.com", description = "Where it answers." }
        zones       = { type = "list", default = jsonencode(["a", "b"]) }
        db_password = { sensitive = true }
      }
    }

    resource "exclave_terraform_module_component" "network" {
      app_id    = exclave_app.shop.id
      name      = "network"
      path {
        path = "${path.module}/modules/network"
      }
      variables = { domain = "{{ inputs.domain }}" }
    }

    resource "exclave_terraform_module_component" "service" {
      app_id = exclave_app.shop.id
      name   = "service"
      git {
        url = "https://git.example/shop"
        subdirectory = "service"
      }
    }

    resource "exclave_install" "acme" {
      app_id           = exclave_app.shop.id
      name             = "acme"
      inputs           = { domain = "acme.example" }
      sensitive_inputs = { db_password = var.password }
    }

    resource "exclave_release" "current" {
      app_id = exclave_app.shop.id
      components = {
        network = exclave_terraform_module_component.network.version
        service = exclave_terraform_module_component.service.version
      }
    }

    resource "exclave_deployment" "acme" {
      install_id     = exclave_install.acme.id
      release_id     = exclave_release.current.id
      inputs_version = exclave_install.acme.inputs_version
    }

    output "url" {
      value = exclave_deployment.acme.outputs["network.url"]
    }

    output "ports" {
      value = jsondecode(exclave_deployment.acme.outputs["network.ports"])
    }
"""


@pytest.fixture
def shop(terraform: Terraform) -> Terraform:
    """The whole shop, written but not applied."""
    terraform.write(SHOP)
    terraform.write('variable "domain" {}\n', "modules/network/main.tf")
    return terraform


@pytest.fixture
def applied(shop: Terraform) -> Terraform:
    """The whole shop, applied."""
    done = shop.apply()
    assert done.code == 0, done.output
    return shop


def edit(terraform: Terraform, old: str, new: str, file: str = "main.tf") -> None:
    text = (terraform.folder / file).read_text()
    assert old in text
    terraform.write(text.replace(old, new), file)


def test_apply_makes_everything_and_the_next_plan_is_empty(applied: Terraform, ims: FakeIms) -> None:
    assert applied.outputs() == {"url": "https://network", "ports": [80]}
    assert [spec.default for spec in ims.app("shop").inputs] == [None, "example.com", ["a", "b"]]
    assert ims.component("shop", "network").config.source.path.path == str(applied.folder / "modules" / "network")
    planned = applied.plan()
    assert planned.code == 0, planned.output


def test_a_plan_reads_all_components_of_an_app_with_one_request(applied: Terraform, ims: FakeIms) -> None:
    ims.requests.clear()
    assert applied.plan().code == 0
    paths = sorted(request.path.rpartition("/")[2] for request in ims.requests)
    assert sum(path == "components" for path in paths) == 1
    assert len(paths) == 5, "app, components, install, release, newest deploy"


def test_an_edited_source_file_makes_a_new_version_a_new_release_and_a_new_deploy(applied: Terraform, ims: FakeIms) -> None:
    before = len(ims.deploys)
    applied.write('variable "domain" {}\n# edited\n', "modules/network/main.tf")
    planned = applied.plan()
    assert planned.code == 2
    assert "3 to change, 0 to destroy" in planned.output
    assert "~ source_digest" in planned.output

    done = applied.apply()
    assert done.code == 0, done.output
    assert ims.component("shop", "network").version == 2
    assert applied.state("exclave_release.current")["number"] == 2
    assert len(ims.releases) == 2, "the earlier release stays, because installs may still run it"
    assert len(ims.deploys) == before + 1
    assert applied.plan().code == 0


def test_a_checkout_at_another_path_is_the_same_version(applied: Terraform, ims: FakeIms) -> None:
    applied.write('variable "domain" {}\n', "elsewhere/network/main.tf")
    edit(applied, "modules/network", "elsewhere/network")
    planned = applied.plan()
    assert planned.code == 2
    assert "1 to change" in planned.output
    assert applied.apply().code == 0
    assert ims.component("shop", "network").version == 1
    assert applied.plan().code == 0


def test_a_changed_input_updates_the_install_and_deploys_it(applied: Terraform, ims: FakeIms) -> None:
    edit(applied, "acme.example", "acme.org")
    done = applied.apply()
    assert done.code == 0, done.output
    assert "0 added, 2 changed, 0 destroyed" in done.output
    assert ims.install("acme").inputs == {"domain": "acme.org"}
    assert applied.state("exclave_deployment.acme")["inputs_version"] == 2
    assert len(ims.releases) == 1
    assert applied.plan().code == 0


def test_labels_and_settings_of_an_install_come_and_go_and_deploy_nothing(applied: Terraform, ims: FakeIms) -> None:
    given = """name             = "acme"
      approval = "customer"
      approval_timeout_hours = 48
      drift_check_hours = 24
      platform = "aws"
      region = "eu-central-1"
      labels = { region = "eu", "example.com/tier" = "gold" }"""
    deploys = len(ims.deploys)
    edit(applied, 'name             = "acme"', given)
    done = applied.apply()
    assert done.code == 0, done.output
    install = ims.install("acme")
    assert install.labels == {"region": "eu", "example.com/tier": "gold"}
    assert (install.platform, install.region) == ("aws", "eu-central-1")
    assert (install.approval, install.approval_timeout_hours, install.drift_check_hours) == ("customer", 48, 24)
    assert applied.plan().code == 0
    edit(applied, given, 'name             = "acme"')
    assert applied.apply().code == 0
    assert (ims.install("acme").labels, ims.install("acme").drift_check_hours) == ({}, None)
    assert applied.plan().code == 0
    assert len(ims.deploys) == deploys


def test_a_changed_sensitive_input_is_sent_and_never_shown(applied: Terraform, ims: FakeIms) -> None:
    before = ims.install("acme").sensitive_fingerprints
    done = applied.apply("-var", "password=second-canary")
    assert done.code == 0, done.output
    assert "canary" not in done.output
    assert ims.install("acme").sensitive_fingerprints != before
    assert applied.plan("-var", "password=second-canary").code == 0


def test_a_new_app_input_and_the_install_that_gives_it_come_in_one_apply(applied: Terraform, ims: FakeIms) -> None:
    edit(applied, "db_password = { sensitive = true }", "db_password = { sensitive = true }\n region = {}")
    edit(applied, 'domain = "acme.example" }', 'domain = "acme.example", region = "eu" }')
    edit(applied, 'domain = "{{ inputs.domain }}" }', 'domain = "{{ inputs.region }}" }')
    done = applied.apply()
    assert done.code == 0, done.output
    assert ims.install("acme").inputs["region"] == "eu"
    assert applied.plan().code == 0


def test_defaults_come_back_when_attributes_are_left_out(applied: Terraform, ims: FakeIms) -> None:
    edit(applied, 'description = "A web shop."', "")
    edit(applied, 'variables = { domain = "{{ inputs.domain }}" }', "")
    assert applied.apply().code == 0
    assert ims.app("shop").description == ""
    assert ims.component("shop", "network").config.variables == {}
    assert applied.plan().code == 0


def test_a_component_is_removed_with_its_deployment_in_one_apply(applied: Terraform, ims: FakeIms) -> None:
    text = (applied.folder / "main.tf").read_text()
    start = text.index('resource "exclave_terraform_module_component" "service"')
    text = text[:start] + text[text.index('resource "exclave_install"') :]
    applied.write(text.replace("service = exclave_terraform_module_component.service.version", ""))
    done = applied.apply()
    assert done.code == 0, done.output
    assert [component.name for component in ims.components.values()] == ["network"]
    assert applied.plan().code == 0


def test_another_name_makes_a_new_object(applied: Terraform) -> None:
    edit(applied, '"acme"\n      inputs', '"apex"\n      inputs')
    planned = applied.plan()
    assert "exclave_install.acme must be replaced" in planned.output
    assert applied.apply().code == 0
    assert applied.plan().code == 0


def test_the_name_of_the_same_app_or_install_instead_of_its_id_makes_nothing_new(applied: Terraform, ims: FakeIms) -> None:
    """Replaced, an install would be torn down in the customer's account."""
    deploys = len(ims.deploys)
    edit(applied, "= exclave_app.shop.id", "= exclave_app.shop.name")
    edit(applied, "= exclave_install.acme.id", "= exclave_install.acme.name")
    assert "5 to change, 0 to destroy" in applied.plan().output
    done = applied.apply()
    assert done.code == 0, done.output
    assert applied.plan().code == 0
    assert len(ims.deploys) == deploys


def test_a_forced_replacement_of_every_resource_passes(applied: Terraform) -> None:
    done = applied.apply("-replace=exclave_app.shop", "-replace=exclave_install.acme")
    assert done.code == 0, done.output
    assert applied.plan().code == 0


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


def test_destroy_tears_down_and_leaves_nothing(applied: Terraform, ims: FakeIms) -> None:
    done = applied.destroy()
    assert done.code == 0, done.output
    assert not ims.apps
    assert not ims.components
    assert not ims.installs
    assert not ims.releases
    assert [deploy.kind for deploy in ims.deploys.values()] == ["deploy", "teardown"]


def test_destroy_of_what_is_gone_already_succeeds(applied: Terraform, ims: FakeIms) -> None:
    for known in (ims.apps, ims.components, ims.installs, ims.releases, ims.deploys):
        known.clear()
    done = applied.run("destroy", "-auto-approve", "-refresh=false", "-no-color")
    assert done.code == 0, done.output


def test_an_install_without_a_deployment_resource_is_torn_down_before_it_and_its_release_are_deleted(
    applied: Terraform, ims: FakeIms
) -> None:
    applied.forget("exclave_deployment.acme")
    done = applied.destroy()
    assert done.code == 0, done.output
    assert [deploy.kind for deploy in ims.deploys.values()] == ["deploy", "teardown"]
    assert not ims.installs


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


def test_unknown_values_everywhere_are_planned_and_then_applied(terraform: Terraform, tmp_path: Path) -> None:
    terraform.write('variable "x" {}\n', "modules/network/main.tf")
    terraform.write(
        """
        resource "terraform_data" "later" { input = "later" }

        locals {
          later = terraform_data.later.output
        }
        resource "exclave_app" "shop" {
          name        = "${local.later}-shop"
          description = local.later
          inputs      = { domain = { default = "x-${local.later}" } }
        }
        resource "exclave_terraform_module_component" "network" {
          app_id    = exclave_app.shop.id
          name      = "network-${local.later}"
          path {
            path = "${path.module}/modules/${local.later == "later" ? "network" : "none"}"
          }
          variables = { x = jsonencode({ a = local.later }) }
        }
        resource "exclave_install" "acme" {
          app_id = exclave_app.shop.id
          name   = local.later
          inputs = { domain = local.later }
        }
        """
    )
    assert terraform.plan().code == 2
    done = terraform.apply()
    assert done.code == 0, done.output
    assert terraform.plan().code == 0
