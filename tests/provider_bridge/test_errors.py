"""What a vendor who makes a mistake sees: the attribute, what is wrong, what to do. And nothing is half-made."""

import pytest
from fake_ims import FakeIms
from terraform_cli import SECONDS, Run, Terraform, until

from api.contract.base import Failure

APP = """
    resource "exclave_app" "shop" {
      name = "shop"
      inputs = {
        domain = {}
        secret = { sensitive = true, required = false }
      }
    }
"""
COMPONENT = """
    resource "exclave_terraform_module_component" "network" {
      app_id    = exclave_app.shop.id
      name      = "network"
      path {
        path = "${path.module}/module"
      }
      variables = {
        domain = "{{ inputs.domain }}"
      }
    }
"""
PATH = """      path {
        path = "${path.module}/module"
      }
"""
INSTALL = """
    resource "exclave_install" "acme" {
      app_id = exclave_app.shop.id
      name   = "acme"
      inputs = {
        domain = "acme.example"
      }
    }
"""
RELEASE = """
    resource "exclave_release" "current" {
      app_id = exclave_app.shop.id
      components = {
        network = exclave_terraform_module_component.network.version
      }
    }
"""
DEPLOYMENT = """
    resource "exclave_deployment" "acme" {
      install_id = exclave_install.acme.id
      release_id = exclave_release.current.id
    }
"""
ALL = APP + COMPONENT + INSTALL + RELEASE + DEPLOYMENT


def write(terraform: Terraform, text: str, old: str = "", new: str = "") -> None:
    assert old in text
    terraform.write("", "module/main.tf")
    terraform.write(text.replace(old, new, 1) if old else text)


def flat(run: Run) -> str:
    """The output without line breaks."""
    return " ".join(run.output.split())


@pytest.mark.parametrize(
    ("text", "old", "new", "shown"),
    [
        (APP, '"shop"\n', '"Shop!"\n', ['name = "Shop!"', "can't be used here", "begins with a letter"]),
        (APP, "domain = {}", 'Domain = {}', ["Domain = {}", "'Domain' can't be used here"]),
        (APP, "domain = {}", 'domain = { type = "text" }', ['domain = { type = "text" }', "inputs.domain.type: 'text' is"]),
        (COMPONENT, "{{ inputs.domain }}", "{{ input.domain }}", ['input.domain }} is not known', "mean `inputs.domain`?"]),
        (COMPONENT, PATH, "", ['"exclave_terraform_module_component" "network"', "Give exactly one of `path` and `git`"]),
        (COMPONENT, PATH, PATH + 'git {\n url = "x"\n}\n', ["this has `path` and `git`"]),
        (INSTALL, "app_id", 'approval = "maybe"\napp_id', ['approval = "maybe"', "is not one of: auto, vendor, customer"]),
        (RELEASE, "exclave_terraform_module_component.network.version", "1.5", ["network = 1.5", "1.5 is not a whole number"]),
        (DEPLOYMENT, "install_id", 'timeouts = { create = "soon" }\ninstall_id', ["'soon' is not a duration"]),
    ],
)  # fmt: skip
def test_validate_finds_mistakes_without_the_ims(
    terraform: Terraform, ims: FakeIms, text: str, old: str, new: str, shown: list[str]
) -> None:
    write(terraform, ALL.replace(text, text.replace(old, new, 1)))
    run = terraform.run("validate", "-no-color")
    assert run.code == 1
    for each in shown:
        assert each in flat(run), run.output
    assert not ims.requests


@pytest.mark.parametrize(
    ("text", "old", "new", "shown"),
    [
        (APP, "domain = {}", 'domain = { type = "number", default = "many" }', ["domain = {", "expected a number"]),
        (COMPONENT, "}/module", "}/nowhere", ['path = "${path.module}/nowhere"', "There is no folder './nowhere'"]),
    ],
)  # fmt: skip
def test_a_first_plan_finds_mistakes(
    terraform: Terraform, ims: FakeIms, text: str, old: str, new: str, shown: list[str]
) -> None:
    write(terraform, ALL.replace(text, text.replace(old, new, 1)))
    run = terraform.plan()
    assert run.code == 1
    for each in shown:
        assert each in flat(run), run.output
    assert not ims.writes()


@pytest.mark.parametrize(
    ("text", "old", "new", "shown"),
    [
        (COMPONENT, "inputs.domain", "inputs.domian", ['domain = "{{ inputs.domian }}"', "no such input", "Declare the input"]),
        (INSTALL, 'domain = "acme.example"', 'domian = "x"', ['domian = "x"', "the app has no input 'domian'"]),
        (INSTALL, 'domain = "acme.example"', "", ["inputs = {", "input 'domain' is required"]),
        (INSTALL, "inputs = {", 'inputs = {\nsecret = "x"', ['secret = "x"', "Give it in `sensitive_inputs`"]),
    ],
)  # fmt: skip
def test_a_plan_has_the_ims_check_what_will_be_applied(
    terraform: Terraform, ims: FakeIms, text: str, old: str, new: str, shown: list[str]
) -> None:
    write(terraform, ALL)
    assert terraform.apply().code == 0
    before = len(ims.writes())
    write(terraform, ALL.replace(text, text.replace(old, new, 1)))
    run = terraform.plan()
    assert run.code == 1
    for each in shown:
        assert each in flat(run), run.output
    assert len(ims.writes()) == before


def test_a_taken_name_is_found_before_anything_is_made(terraform: Terraform, ims: FakeIms) -> None:
    write(terraform, ALL)
    assert terraform.apply().code == 0
    terraform.run("state", "rm", "exclave_app.shop")
    run = terraform.plan()
    assert run.code == 1
    assert 'name = "shop"' in run.output
    assert "Choose another name." in flat(run)


def test_what_only_the_apply_can_find_names_the_attribute_and_the_next_apply_heals_it(
    terraform: Terraform, ims: FakeIms
) -> None:
    write(terraform, ALL, "inputs.domain", "inputs.domian")
    run = terraform.apply()
    assert run.code == 1
    assert 'domain = "{{ inputs.domian }}"' in run.output
    assert not ims.components
    write(terraform, ALL)
    assert terraform.apply().code == 0
    assert terraform.plan().code == 0


def test_a_failed_build_names_the_component_and_taints_nothing(terraform: Terraform, ims: FakeIms) -> None:
    ims.build_failures["network"] = Failure(code="init_failed", message="Module not found", remedy="Correct its source.")
    write(terraform, ALL)
    run = terraform.apply()
    assert run.code == 1
    assert "The build of component 'network' failed" in flat(run)
    assert "network = exclave_terraform_module_component.network.version" in run.output
    assert "Module not found" in run.output
    assert "Correct its source." in run.output
    with pytest.raises(KeyError):
        terraform.instance("exclave_release.current")

    ims.build_failures.clear()
    run = terraform.apply()
    assert run.code == 0, run.output
    assert "2 added, 0 changed, 0 destroyed" in run.output


def test_a_failed_build_of_a_later_release_keeps_the_earlier_one(terraform: Terraform, ims: FakeIms) -> None:
    write(terraform, ALL)
    assert terraform.apply().code == 0
    ims.build_failures["network"] = Failure(code="init_failed", message="Module not found")
    terraform.write("# edited", "module/main.tf")
    assert terraform.apply().code == 1
    assert terraform.state("exclave_release.current")["number"] == 1
    assert len(ims.deploys) == 1

    ims.build_failures.clear()
    assert terraform.plan().code == 2
    assert terraform.apply().code == 0
    assert terraform.state("exclave_release.current")["number"] == 3
    assert terraform.plan().code == 0


def test_a_failed_first_deploy_says_which_step_failed_and_taints_nothing(terraform: Terraform, ims: FakeIms) -> None:
    ims.deploy_failures["network"] = Failure(code="apply_failed", message="No such subnet", remedy="Make the subnet.")
    write(terraform, ALL)
    run = terraform.apply()
    assert run.code == 1
    for shown in ("network: apply failed", "No such subnet", "Make the subnet.", "with exclave_deployment.acme"):
        assert shown in run.output
    with pytest.raises(KeyError):
        terraform.instance("exclave_deployment.acme")

    ims.deploy_failures.clear()
    run = terraform.apply()
    assert run.code == 0, run.output
    assert "1 added, 0 changed, 0 destroyed" in run.output


def test_a_failed_later_deploy_shows_as_a_change_until_it_succeeds(terraform: Terraform, ims: FakeIms) -> None:
    write(terraform, ALL)
    assert terraform.apply().code == 0
    ims.deploy_failures["network"] = Failure(code="apply_failed", message="No such subnet")
    terraform.write("# edited", "module/main.tf")
    assert terraform.apply().code == 1
    instance = terraform.instance("exclave_deployment.acme")
    assert instance["attributes"]["status"] == "failed"
    assert "status" not in instance, "not tainted"
    assert terraform.plan("-refresh=false").code == 2
    assert terraform.plan().code == 2

    ims.deploy_failures.clear()
    assert terraform.apply().code == 0
    assert terraform.plan().code == 0


def test_a_deploy_that_somebody_else_has_started_is_told_with_its_remedy(terraform: Terraform, ims: FakeIms) -> None:
    write(terraform, ALL)
    assert terraform.apply().code == 0
    last = list(ims.deploys.values())[-1]
    other = last.model_copy(update={"id": "dep_other", "release_id": "rel_other", "status": "running", "ended_at": None})
    ims.hold()
    ims.deploys[other.id] = other
    run = terraform.apply()
    assert run.code == 1
    assert "dep_other is still under way" in flat(run)
    assert "Cancel it" in flat(run)


def test_a_deploy_that_takes_too_long_is_told_and_the_next_apply_takes_it_up(terraform: Terraform, ims: FakeIms) -> None:
    write(terraform, ALL, "install_id", 'timeouts = { create = "1s" }\ninstall_id')
    terraform.apply("-target=exclave_release.current", "-target=exclave_install.acme")
    ims.hold()
    run = terraform.apply()
    assert run.code == 1
    assert "It has not ended within 1 seconds." in flat(run)
    assert "exclave deploys show dep_" in flat(run)

    write(terraform, ALL)
    with terraform.start("apply", "-auto-approve", "-no-color") as process:
        seen = len(ims.requests)
        until(process, lambda: any(request.query.get("seen") for request in ims.requests[seen:]))
        ims.let_go()
        assert process.wait(SECONDS) == 0
    assert len(ims.deploys) == 1
    assert terraform.plan().code == 0


def test_an_update_that_takes_too_long_is_told_and_shows_as_a_change(terraform: Terraform, ims: FakeIms) -> None:
    with_timeout = DEPLOYMENT.replace("install_id", 'timeouts = { update = "1s" }\n      install_id', 1)
    write(terraform, ALL.replace(DEPLOYMENT, with_timeout))
    assert terraform.apply().code == 0
    other = RELEASE.replace('"current"', '"next"') + with_timeout.replace("current", "next")
    terraform.write(ALL.replace(DEPLOYMENT, other))
    assert terraform.apply("-target=exclave_release.next").code == 0
    ims.hold()
    run = terraform.apply()
    assert run.code == 1
    assert "It has not ended within 1 seconds." in flat(run)
    instance = terraform.instance("exclave_deployment.acme")
    assert instance["attributes"]["status"] == "running"
    assert "status" not in instance, "not tainted"
    ims.let_go()
    assert terraform.plan().code == 0


def test_a_release_that_takes_too_long_leaves_no_state_to_taint(terraform: Terraform, ims: FakeIms) -> None:
    write(terraform, ALL, "components = {", 'timeouts = { create = "1s" }\n      components = {')
    ims.hold()
    run = terraform.apply()
    assert run.code == 1
    assert "The release isn't ready" in flat(run)
    with pytest.raises(KeyError):
        terraform.instance("exclave_release.current")
    ims.let_go()
    assert terraform.apply().code == 0


def test_a_folder_that_changes_between_plan_and_apply_is_refused(terraform: Terraform, ims: FakeIms) -> None:
    write(terraform, ALL)
    terraform.plan("-out=saved")
    terraform.write("# edited meanwhile", "module/main.tf")
    run = terraform.run("apply", "-no-color", "saved")
    assert run.code == 1
    assert "inconsistent final plan" in flat(run)
    assert ".source_digest" in flat(run)
    assert not ims.components


def test_a_wrong_token_says_which_setting_to_mend(terraform: Terraform, ims: FakeIms) -> None:
    write(terraform, ALL)
    provider = (terraform.folder / "provider.tf").read_text()
    terraform.write(provider.replace("a-token-for-tests", "wrong"), "provider.tf")
    run = terraform.plan()
    assert run.code == 1
    assert "Not signed in" in run.output
    assert "`token_file`" in run.output


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("url   =", "# url =", "The provider doesn't know where the IMS is."),
        ('url   = "http', 'url   = "ftp', "is not an http or https URL"),
        ("token =", "# token =", "The provider has no token for the IMS."),
        ("token =", 'token_file = "/nowhere/token"\n#', "No such file"),
        ("token =", 'token_file = "/nowhere/token"\ntoken =', "Set one of them."),
    ],
)
def test_a_wrong_provider_configuration_is_told(terraform: Terraform, old: str, new: str, shown: str) -> None:
    write(terraform, ALL)
    provider = (terraform.folder / "provider.tf").read_text()
    terraform.write(provider.replace(old, new), "provider.tf")
    run = terraform.plan()
    assert run.code == 1
    assert shown in flat(run), run.output


def test_a_token_from_a_file_is_used(terraform: Terraform, ims: FakeIms) -> None:
    write(terraform, APP)
    terraform.write("a-token-for-tests\n", "token")
    provider = (terraform.folder / "provider.tf").read_text()
    terraform.write(provider.replace('token = "a-token-for-tests"', 'token_file = "token"'), "provider.tf")
    run = terraform.apply()
    assert run.code == 0, run.output


def test_a_plan_without_the_ims_warns_once_that_it_is_unchecked(terraform: Terraform, ims: FakeIms) -> None:
    write(terraform, ALL + APP.replace('"shop"', '"other"'))
    terraform.write((terraform.folder / "provider.tf").read_text().replace(ims.url, "http://127.0.0.1:9"), "provider.tf")
    run = terraform.plan()
    assert run.code == 2
    assert flat(run).count("This plan is unchecked") == 1
    assert "127.0.0.1:9 gives no answer" in flat(run)


def test_a_proxy_that_knows_no_object_does_not_have_everything_made_again(terraform: Terraform, ims: FakeIms) -> None:
    terraform.write(APP)
    assert terraform.apply().code == 0
    for body in (b"<html>Nothing here</html>", b'{"type": "urn:exclave:problem:no_such_path", "title": "No such path"}'):
        ims.next_answers.append((404, {}, body))
        run = terraform.plan()
        assert run.code == 1, run.output
        assert "will be created" not in run.output
    assert "No such path" in run.output
    assert terraform.plan().code == 0
