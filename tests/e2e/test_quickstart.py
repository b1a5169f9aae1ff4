"""The main job: from `terraform apply` to Terraform running in the customer's account."""

import gzip
import json
import threading
import zipfile
from pathlib import Path

from engineer import PASSWORD, apply, destroy, plan, replace
from kept_states import addresses
from stage import Stage


def outputs(stage: Stage) -> dict:
    done = stage.terraform("output", "-json")
    assert done.code == 0, done.output
    return {name: value["value"] for name, value in json.loads(done.output).items()}


def test_the_quickstart_is_deployed_changed_and_destroyed(vendor: Stage) -> None:
    done = apply(vendor, join="acme")
    assert done.code == 0, done.output
    assert outputs(vendor) == {
        "release": 1,
        "deployments": {"acme": {"network.network_id": "net-acme", "service.url": "https://acme.example"}},
    }
    assert plan(vendor).code == 0

    changed = {"customers": '{acme="shop.acme.example"}'}
    done = apply(vendor, **changed)
    assert done.code == 0, done.output
    assert outputs(vendor)["deployments"]["acme"]["service.url"] == "https://shop.acme.example"
    assert [step.split()[0] for step in vendor.steps("acme")] == ["service"] * 3
    assert plan(vendor, **changed).code == 0

    done = destroy(vendor, **changed)
    assert done.code == 0, done.output
    teardown = vendor.get("/v1/deploys?order=desc&limit=1")["items"][0]
    assert [(step["component"], step["kind"], step["status"]) for step in teardown["steps"]] == [
        ("service", "plan_destroy", "succeeded"),
        ("service", "destroy", "succeeded"),
        ("network", "plan_destroy", "succeeded"),
        ("network", "destroy", "succeeded"),
    ]
    assert vendor.get("/v1/apps")["items"] == []
    assert vendor.get("/v1/events/verify")["whole"] is True
    assert addresses(vendor.customer("acme") / "agent") == {}
    assert list((vendor.customer("acme") / "agent").rglob("*.tfstate")) == []


def test_an_edited_module_makes_a_new_release_that_builds_only_it(vendor: Stage) -> None:
    assert apply(vendor, join="acme").code == 0
    replace(vendor.work / "modules" / "service" / "main.tf", "https://", "http://")
    assert plan(vendor).code == 2
    done = apply(vendor)
    assert done.code == 0, done.output
    release = vendor.get("/v1/releases?order=desc&limit=1")["items"][0]
    assert release["number"] == 2
    assert {build["component"]: build["reused"] for build in release["builds"]} == {"network": True, "service": False}
    assert outputs(vendor)["deployments"]["acme"]["service.url"] == "http://acme.example"
    assert all(step.startswith("service") for step in vendor.steps("acme"))


def test_a_component_that_is_removed_is_destroyed_in_the_customers_account(vendor: Stage) -> None:
    assert apply(vendor, join="acme").code == 0
    main = vendor.work / "main.tf"
    text = main.read_text()
    begin, end = text.index('resource "exclave_terraform_module_component" "service"'), text.index("# A numbered, immutable")
    main.write_text(text[:begin] + text[end:])
    replace(main, "    service = exclave_terraform_module_component.service.version\n", "")
    done = apply(vendor)
    assert done.code == 0, done.output
    assert vendor.steps("acme") == ["service plan_destroy: succeeded", "service destroy: succeeded"]
    assert [one["name"] for one in vendor.get("/v1/installs/acme")["components"]] == ["network"]
    assert plan(vendor).code == 0


def test_two_installs_are_deployed_at_once(vendor: Stage) -> None:
    both = {"customers": '{acme="acme.example",bolt="bolt.example"}'}

    def join() -> None:
        threads = [threading.Thread(target=vendor.join, args=(name,)) for name in ("acme", "bolt")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    done = vendor.terraform(
        "apply",
        "-no-color",
        "-auto-approve",
        "-input=false",
        variables={"admin_password": PASSWORD, **both},
        meanwhile=join,
    )
    assert done.code == 0, done.output
    assert outputs(vendor)["deployments"] == {
        "acme": {"network.network_id": "net-acme", "service.url": "https://acme.example"},
        "bolt": {"network.network_id": "net-bolt", "service.url": "https://bolt.example"},
    }
    assert plan(vendor, **both).code == 0


def test_sensitive_values_stay_with_the_customers_agent(vendor: Stage) -> None:
    done = apply(vendor, join="acme")
    assert done.code == 0, done.output
    assert PASSWORD not in done.output
    vendor.stop()
    agent = vendor.customer("acme") / "agent"
    found = {path for path in vendor.folder.rglob("*") if path.is_file() and PASSWORD in _text(path)}
    outside = {path for path in found if agent not in path.parents and vendor.work not in path.parents}
    assert outside == set(), "the canary left the customer's agent"
    assert any(agent in path.parents for path in found), "the canary is in the agent's own state: the search finds it"


def _text(path: Path) -> str:
    """What a file says, packed or not."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content += gzip.decompress(content)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            content += b"".join(archive.read(name) for name in archive.namelist() if archive.getinfo(name).file_size < 1 << 20)
    return content.decode("latin-1")
