"""Ctrl-C: Terraform stops waiting, says how to go on, and taints nothing."""

import os
import signal

import pytest
from fake_ims import FakeIms
from terraform_cli import SECONDS, Run, Terraform, until

SHOP = """
    resource "exclave_app" "shop" {
      name = "shop"
    }
    resource "exclave_terraform_module_component" "network" {
      app_id = exclave_app.shop.id
      name   = "network"
      path {
        path = "${path.module}/module"
      }
    }
    resource "exclave_install" "acme" {
      app_id = exclave_app.shop.id
      name   = "acme"
    }
    resource "exclave_release" "current" {
      app_id     = exclave_app.shop.id
      components = { network = exclave_terraform_module_component.network.version }
    }
    resource "exclave_deployment" "acme" {
      install_id = exclave_install.acme.id
      release_id = exclave_release.current.id
    }
"""
APPLY = ("apply", "-auto-approve", "-no-color", "-input=false")


@pytest.fixture
def shop(terraform: Terraform) -> Terraform:
    terraform.write("", "module/main.tf")
    terraform.write(SHOP)
    return terraform


def interrupt_while_waiting(shop: Terraform, ims: FakeIms, what: str, *arguments: str) -> Run:
    """Press Ctrl-C once the provider waits for something in the collection `what`."""
    already = len(ims.requests)
    process = shop.start(*arguments)
    until(process, lambda: any(r.path.startswith(f"/v1/{what}/") and "wait" in r.query for r in ims.requests[already:]))
    return shop.interrupt(process)  # which ends long before the resource's own timeout


def prepared(shop: Terraform, ims: FakeIms) -> None:
    """Everything but the deployment is there; what comes next doesn't end by itself."""
    run = shop.apply("-target=exclave_release.current", "-target=exclave_install.acme")
    assert run.code == 0, run.output
    ims.hold()


def test_a_deployment_that_is_interrupted_is_kept_untainted_and_heals_when_the_deploy_has_ended(
    shop: Terraform, ims: FakeIms
) -> None:
    prepared(shop, ims)
    run = interrupt_while_waiting(shop, ims, "deploys", *APPLY)
    assert "The deploy goes on" in run.output
    assert "exclave deploys show dep_" in run.output
    assert "exclave deploys cancel dep_" in run.output
    instance = shop.instance("exclave_deployment.acme")
    assert instance["attributes"]["status"] == "running"
    assert instance["attributes"]["outputs"] == {}
    assert "status" not in instance, "not tainted"

    ims.let_go()
    planned = shop.plan()
    assert planned.code == 0, planned.output
    assert shop.apply("-refresh-only").code == 0
    assert shop.state("exclave_deployment.acme")["outputs"]["network.url"] == "https://network"
    assert len(ims.deploys) == 1


def test_the_apply_after_an_interruption_takes_up_the_deploy_that_still_runs(shop: Terraform, ims: FakeIms) -> None:
    prepared(shop, ims)
    interrupt_while_waiting(shop, ims, "deploys", *APPLY)
    assert shop.plan().code == 2
    already = len(ims.requests)
    process = shop.start(*APPLY)
    until(process, lambda: any("seen" in request.query for request in ims.requests[already:]))
    ims.let_go()
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert "0 added, 1 changed, 0 destroyed" in output
    assert len(ims.deploys) == 1
    assert shop.plan().code == 0


def test_an_interrupted_deployment_whose_deploy_then_fails_is_deployed_again(shop: Terraform, ims: FakeIms) -> None:
    prepared(shop, ims)
    interrupt_while_waiting(shop, ims, "deploys", *APPLY)
    for deploy in list(ims.deploys.values()):
        ims.deploys[deploy.id] = deploy.model_copy(update={"status": "cancelled", "ended_at": deploy.created_at})
    ims.let_go()
    assert shop.plan().code == 2
    run = shop.apply()
    assert "0 added, 1 changed, 0 destroyed" in run.output
    assert [deploy.status for deploy in ims.deploys.values()] == ["cancelled", "succeeded"]


def test_a_release_that_is_interrupted_is_waited_for_by_the_next_apply(shop: Terraform, ims: FakeIms) -> None:
    ims.hold()
    run = interrupt_while_waiting(shop, ims, "releases", *APPLY)
    assert "The release goes on" in run.output
    instance = shop.instance("exclave_release.current")
    assert instance["attributes"]["status"] == "building"
    assert "status" not in instance, "not tainted"
    assert shop.plan().code == 2

    ims.let_go()
    run = shop.apply()
    assert run.code == 0, run.output
    assert len(ims.releases) == 1
    assert shop.state("exclave_release.current")["status"] == "ready"
    assert shop.plan().code == 0


def test_an_interrupted_release_that_then_fails_is_followed_by_a_new_one(shop: Terraform, ims: FakeIms) -> None:
    ims.hold()
    interrupt_while_waiting(shop, ims, "releases", *APPLY)
    for release in list(ims.releases.values()):
        ims.releases[release.id] = release.model_copy(update={"status": "failed"})
    ims.let_go()
    run = shop.apply()
    assert run.code == 0, run.output
    assert shop.state("exclave_release.current")["number"] == 2


def test_an_interrupted_destroy_is_followed_by_the_next_one(shop: Terraform, ims: FakeIms) -> None:
    assert shop.apply().code == 0
    ims.hold()
    run = interrupt_while_waiting(shop, ims, "deploys", "destroy", "-auto-approve", "-no-color", "-input=false")
    assert "The teardown goes on" in run.output
    assert "status" not in shop.instance("exclave_deployment.acme")

    already = len(ims.requests)
    process = shop.start("destroy", "-auto-approve", "-no-color", "-refresh=false")
    until(process, lambda: any("seen" in request.query for request in ims.requests[already:]))
    ims.let_go()
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert [deploy.kind for deploy in ims.deploys.values()] == ["deploy", "teardown"]
    assert not ims.apps


def kill_while_waiting(shop: Terraform, ims: FakeIms) -> None:
    """Kill Terraform and what it started once the provider waits for something."""
    already = len(ims.requests)
    process = shop.start(*APPLY)
    until(process, lambda: any("wait" in request.query for request in ims.requests[already:]))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=SECONDS)
    (shop.folder / ".terraform.tfstate.lock.info").unlink(missing_ok=True)


@pytest.mark.parametrize(("ready", "made"), [("network", "releases"), ("release", "deploys")])
def test_a_run_that_is_killed_while_it_waits_leaves_what_the_next_one_takes_up(
    shop: Terraform, ims: FakeIms, ready: str, made: str
) -> None:
    """The state knows nothing of a release or deploy that was begun: the provider finds it at the IMS."""
    target = "exclave_release.current" if ready == "release" else "exclave_terraform_module_component.network"
    run = shop.apply(f"-target={target}", "-target=exclave_install.acme")
    assert run.code == 0, run.output
    ims.hold()
    kill_while_waiting(shop, ims)
    already = len(ims.requests)
    process = shop.start(*APPLY)
    until(process, lambda: any("wait" in request.query for request in ims.requests[already:]))
    ims.let_go()
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert len(ims.writes(made)) == 1
    assert shop.plan().code == 0
