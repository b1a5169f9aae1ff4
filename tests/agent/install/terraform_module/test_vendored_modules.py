"""`closure`: modules from elsewhere travel in the bundle; an install needs none of the places where they are from."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from customer import Customer
from remote_modules import RemoteModules, serve_modules
from small_modules import failure_of

from agent.bundle.unpack import fetch_bundle
from agent.oci.provenance import read_provenance
from api.contract.agents import ApplyResult

pytestmark = pytest.mark.anyio

NET = """
variable "name" { type = string }
module "inner" { source = "./inner" }
resource "terraform_data" "net" { input = "${var.name}-${module.inner.version}" }
output "id" { value = terraform_data.net.output }
"""
INNER = 'output "version" { value = "v%d" }\n'


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RemoteModules]:
    remote = serve_modules(tmp_path / "remote")
    remote.commit("main.tf", NET)
    remote.commit("inner/main.tf", INNER % 1)
    yield remote
    remote.close()


@pytest.fixture
def account(account: Customer, remote: RemoteModules, tmp_path: Path) -> Customer:
    """An account whose engine and git trust the test's authority, and whose engine knows where the registry is."""
    services = f'services = {{ "modules.v1" = "https://{remote.host}/v1/modules/" }}'
    (tmp_path / "tfrc").write_text(f'host "modules.example.com" {{\n  {services}\n}}\n')
    trusted = {
        "SSL_CERT_FILE": str(remote.ca),
        "GIT_SSL_CAINFO": str(remote.ca),
        "TF_CLI_CONFIG_FILE": str(tmp_path / "tfrc"),
    }
    account.site = replace(account.site, env={**os.environ, **trusted})
    return account


def calling(source: str, more: str = "") -> str:
    return f"""
module "net" {{
  source = "{source}"
  {more}
  name   = "main"
}}
output "id" {{ value = module.net.id }}
"""


async def provenance_of(account: Customer, component: str) -> list[dict[str, Any]]:
    repository, digest = f"shop/{component}", account.digests[component]
    predicate = await read_provenance(account.vendor.client(), repository, digest, (account.key.public_pem,))
    return [each for each in predicate["buildDefinition"]["resolvedDependencies"] if "name" in each]


async def test_modules_of_git_of_an_archive_and_of_a_registry_are_deployed_without_them(
    account: Customer, remote: RemoteModules
) -> None:
    sources = {
        "of-git": calling(f"{remote.git}?ref=main"),
        "of-http": calling(f"https://{remote.host}/net.zip"),
        "of-registry": calling("modules.example.com/acme/net/aws", 'version = "~> 1.0"'),
    }
    for component, source in sources.items():
        await account.build(component, source)
    remote.close()
    for component in sources:
        applied = await account.deploy(component)
        assert isinstance(applied, ApplyResult)
        assert applied.outputs == {"id": "main-v1"}


async def test_what_an_address_stood_for_is_in_the_provenance(account: Customer, remote: RemoteModules) -> None:
    first = await account.build("net", calling(f"{remote.git}?ref=main"))
    commit = remote.commit("inner/main.tf", INNER % 2)
    second = await account.build("net", calling(f"{remote.git}?ref=main"))
    assert first != second
    (module,) = [each for each in await provenance_of(account, "net") if each["name"].startswith("git::")]
    assert module["digest"]["gitCommit"] == commit
    assert len(module["digest"]["sha256"]) == 64

    await account.build("registered", calling("modules.example.com/acme/net/aws", 'version = "~> 1.0"'))
    (module,) = [each for each in await provenance_of(account, "registered") if "acme/net" in each["name"]]
    assert module["uri"] == "pkg:terraform/modules.example.com/acme/net/aws@1.2.3"


async def test_the_same_modules_give_the_same_digest(account: Customer, remote: RemoteModules) -> None:
    source = calling(f"{remote.git}?ref=main") + calling(f"https://{remote.host}/net.zip").replace('"net"', '"other"').replace(
        '"id"', '"other_id"'
    ).replace("module.net", "module.other")
    assert await account.build("net", source) == await account.build("net", source)


async def test_two_folders_of_one_repository_are_one_material(account: Customer, remote: RemoteModules) -> None:
    remote.commit("more/main.tf", 'output "more" { value = 1 }\n')
    both = calling(f"{remote.git}?ref=main") + f'module "more" {{ source = "{remote.git}//more?ref=main" }}\n'
    await account.build("net", both)
    assert [each["name"] for each in await provenance_of(account, "net")] == [f"{remote.git}?ref=main"]


async def test_nothing_of_git_itself_travels(account: Customer, remote: RemoteModules, tmp_path: Path) -> None:
    digest = await account.build("net", calling(f"{remote.git}?ref=main"))
    unpacked = await fetch_bundle(account.vendor.client(), "shop/net", digest, tmp_path / "into")
    assert (unpacked.source / ".terraform/modules/net/inner/main.tf").is_file()
    assert not list(unpacked.source.rglob(".git"))
    listed = json.loads((unpacked.source / ".terraform/modules/modules.json").read_text())["Modules"]
    assert [each["Key"] for each in listed] == ["", "net", "net.inner"]


async def test_a_module_that_links_to_the_build_agents_own_files_is_refused(account: Customer, remote: RemoteModules) -> None:
    (remote.folder / "net" / "key.tf.txt").symlink_to("/etc/hostname")
    remote.commit("inner/main.tf", INNER % 3)
    refused = await failure_of(account.build("net", calling(f"{remote.git}?ref=main")))  # type: ignore[arg-type]
    assert (refused.code, refused.field) == ("module_not_closed", "config.source.path")
    assert "key.tf.txt" in refused.message


@pytest.mark.parametrize("source", ["{folder}", "file://{folder}", "git::file://{folder}", "git::{folder}"])
async def test_a_module_may_not_call_what_lies_on_the_build_agents_machine(
    source: str, account: Customer, remote: RemoteModules
) -> None:
    source = source.format(folder=remote.folder / "net")
    refused = await failure_of(account.build("net", calling(source)))  # type: ignore[arg-type]
    assert refused.code == "module_not_closed"
    remote.commit("main.tf", calling(source))
    refused = await failure_of(account.build("net", calling(f"{remote.git}?ref=main")))  # type: ignore[arg-type]
    assert refused.code in ("module_not_closed", "init_failed")


async def test_a_module_that_cannot_be_fetched_is_named_without_its_password(account: Customer, remote: RemoteModules) -> None:
    source = f"git::https://me:canary-9@{remote.host}/none/.git"
    refused = await failure_of(account.build("net", calling(source)))  # type: ignore[arg-type]
    assert refused.code == "init_failed"
    assert "none/.git" in refused.message
    assert "canary-9" not in refused.message + "\n".join(account.log)
