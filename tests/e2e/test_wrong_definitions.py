"""What a vendor engineer may write wrong: the error names attribute and remedy, nothing is half-made, the next apply heals."""

import shutil

import pytest
from engineer import apply, plan, replace
from stage import Finished, Stage


def text_of(done: Finished) -> str:
    return " ".join(done.output.replace("│", " ").split())


def refused(done: Finished, *said: str) -> None:
    assert done.code == 1, done.output
    for words in said:
        assert words in text_of(done), done.output


def test_an_input_of_the_wrong_type(vendor: Stage) -> None:
    main = vendor.work / "main.tf"
    replace(main, 'domain         = { type = "string"', 'domain         = { type = "number"')
    refused(apply(vendor), "inputs", "expects a number", "acme.example")
    assert vendor.get("/v1/installs")["items"] == []
    replace(main, 'domain         = { type = "number"', 'domain         = { type = "string"')
    assert apply(vendor, join="acme").code == 0


def test_an_input_type_that_does_not_exist(vendor: Stage) -> None:
    replace(vendor.work / "main.tf", 'domain         = { type = "string"', 'domain         = { type = "strnig"')
    refused(plan(vendor), "inputs", "strnig", "string")
    assert vendor.get("/v1/apps")["items"] == []


def test_a_component_kind_that_does_not_exist(vendor: Stage) -> None:
    replace(vendor.work / "main.tf", '"exclave_terraform_module_component" "network"', '"exclave_pulumi_component" "network"')
    refused(plan(vendor), "exclave_pulumi_component")
    assert vendor.get("/v1/apps")["items"] == []


def test_an_image_that_does_not_exist(vendor: Stage) -> None:
    vendor.post("/v1/apps", {"name": "images"})
    image = {"kind": "container_image", "public": {"image_url": "not/an Image", "tag": "1"}}
    vendor.post("/v1/apps/images/components", {"name": "web", "config": image})
    made = vendor.post("/v1/releases", {"app_id": "images"})
    release = vendor.get(f"/v1/releases/{made['id']}?wait=30")
    assert release["status"] == "failed"
    assert (release["failure"]["code"], release["failure"]["field"]) == ("image_name_wrong", "components.web.public.image_url")


def test_a_reference_to_a_component_that_does_not_exist(vendor: Stage) -> None:
    main = vendor.work / "main.tf"
    replace(main, "components.network.outputs", "components.netwrok.outputs")
    refused(apply(vendor), "components", "netwrok", "Did you mean 'network'?")
    assert vendor.get("/v1/releases")["items"] == []
    replace(main, "components.netwrok.outputs", "components.network.outputs")
    assert apply(vendor, join="acme").code == 0


def test_a_reference_to_an_output_that_does_not_exist(vendor: Stage) -> None:
    main = vendor.work / "main.tf"
    replace(main, "outputs.network_id", "outputs.netwrk_id")
    refused(apply(vendor), "netwrk_id", "Did you mean 'network_id'?", "service")
    assert vendor.get("/v1/deploys")["items"] == []
    replace(main, "outputs.netwrk_id", "outputs.network_id")
    assert apply(vendor, join="acme").code == 0


def test_a_cycle(vendor: Stage) -> None:
    main = vendor.work / "main.tf"
    replace(main, '"{{ install.name }}"', '"{{ components.service.outputs.url }}"')
    done = apply(vendor)
    refused(done, "exclave_terraform_module_component.", "the components refer to each other in a cycle", "Remove one of these")
    # Whichever Terraform planned last tells it.
    assert any(cycle in text_of(done) for cycle in ("network → service → network", "service → network → service")), done.output
    assert vendor.get("/v1/releases")["items"] == []
    replace(main, '"{{ components.service.outputs.url }}"', '"{{ install.name }}"')
    assert apply(vendor, join="acme").code == 0


def test_a_name_that_is_taken(vendor: Stage) -> None:
    vendor.post("/v1/apps", {"name": "shop"})
    refused(plan(vendor), "name", "there is an app named 'shop' already", "Choose another name")
    vendor.call("DELETE", "/v1/apps/shop")
    assert apply(vendor, join="acme").code == 0


def test_a_source_folder_that_is_not_there(vendor: Stage) -> None:
    main = vendor.work / "main.tf"
    replace(main, "modules/service", "modules/servcie")
    refused(plan(vendor), "path", "servcie")
    assert vendor.get("/v1/apps")["items"] == []
    replace(main, "modules/servcie", "modules/service")
    assert apply(vendor, join="acme").code == 0


def test_a_source_folder_that_goes_away_before_the_build(vendor: Stage) -> None:
    assert apply(vendor, "-target=exclave_terraform_module_component.service").code == 0
    moved = vendor.work / "modules" / "elsewhere"
    service = vendor.vendor  # the build agent sees the same machine; take the folder away behind the provider's back
    assert service.exists()
    shutil.move(vendor.work / "modules" / "service", moved)
    refused(apply(vendor, "-refresh=false"), "service")
    shutil.move(moved, vendor.work / "modules" / "service")
    assert apply(vendor, join="acme").code == 0


BROKEN = {
    "init": ('terraform {\n  required_providers {\n    nope = { source = "exclave.test/no/nope" }\n  }\n}\n', "nope"),
    "plan": ('resource "terraform_data" "broken" {\n  input = tonumber("x${var.name}")\n}\n', "cannot convert"),
    "apply": (
        'resource "terraform_data" "broken" {\n  provisioner "local-exec" {\n    command = "echo no space; exit 7"\n  }\n}\n',
        "exit status 7",
    ),
}


@pytest.mark.parametrize("phase", list(BROKEN))
def test_a_module_that_fails(vendor: Stage, phase: str) -> None:
    text, words = BROKEN[phase]
    broken = vendor.work / "modules" / "network" / "broken.tf"
    broken.write_text(text)
    refused(apply(vendor, join=None if phase == "init" else "acme"), "network", words)
    broken.unlink()
    done = apply(vendor, join="acme" if phase == "init" else None)
    assert done.code == 0, done.output
    assert plan(vendor).code == 0
