"""The vendor's way, with real Terraform: apply, plan again, change, destroy. `test_drift_and_imports` has what is found."""

from pathlib import Path

from fake_ims import FakeIms
from terraform_cli import Terraform
from whole_shop import edit


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
