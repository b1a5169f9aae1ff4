import os
import stat
import zipfile
from pathlib import Path

import pytest
from build_job import Build, MakeBuild
from registry_server import RegistryServer

from agent.bundle.platform import current_platform
from agent.bundle.unpack import UnpackedBundle, fetch_bundle
from agent.engine.find import Engine, EngineNotFoundError, find_engine
from agent.failure import JobFailedError
from agent.oci.signature import SignatureError, verify
from agent.oci.vendor_key import VendorKey
from api.contract.agents import BuildResult
from api.contract.components import EngineLayer, PathSource, Source, TerraformModuleConfig

pytestmark = pytest.mark.anyio

MAIN = """
variable "cidr" { type = string }
resource "terraform_data" "net" { input = var.cidr }
output "cidr" { value = terraform_data.net.output }
"""


@pytest.fixture(scope="module")
def engine() -> Engine:
    try:
        return find_engine(None, os.environ)
    except EngineNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def module(tmp_path: Path) -> Path:
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "main.tf").write_text(MAIN)
    return folder


@pytest.fixture
def build(make_build: MakeBuild, engine: Engine) -> Build:
    return make_build("acme/net", engine)


def terraform_module(folder: Path, bundle_engine: EngineLayer = "auto") -> TerraformModuleConfig:
    return TerraformModuleConfig(source=Source(path=PathSource(path=str(folder))), bundle_engine=bundle_engine)


async def unpack(server: RegistryServer, result: BuildResult, folder: Path) -> UnpackedBundle:
    return await fetch_bundle(server.client(), result.artifact.repository, result.artifact.digest, folder)


async def test_a_module_becomes_a_signed_bundle(
    build: Build, module: Path, vendor: RegistryServer, key: VendorKey, tmp_path: Path
) -> None:
    result = await build(terraform_module(module))
    await verify(vendor.client(), "acme/net", result.artifact.digest, (key.public_pem,))
    unpacked = await unpack(vendor, result, tmp_path / "into")
    assert (unpacked.source / "main.tf").read_text() == MAIN
    assert [variable.name for variable in result.variables] == ["cidr"]
    assert [output.name for output in result.outputs] == ["cidr"]
    assert result.source_revision.startswith("sha256:")


async def test_a_build_uses_one_token(build: Build, module: Path, vendor: RegistryServer) -> None:
    await build(terraform_module(module))
    assert len(vendor.tickets.asked) == 1


async def test_building_again_gives_the_same_digest_and_one_signature(
    build: Build, module: Path, vendor: RegistryServer
) -> None:
    first = await build(terraform_module(module))
    second = await build(terraform_module(module))
    assert first == second
    tag = first.artifact.digest.replace(":", "-") + ".sig"
    assert len((await vendor.client().get_manifest("acme/net", tag)).body().layers) == 1


async def test_nothing_of_a_build_stays_in_the_work_folder(build: Build, module: Path, tmp_path: Path) -> None:
    await build(terraform_module(module))
    assert [path.name for path in (tmp_path / "work").iterdir() if path.name != "cache"] == []


async def test_another_vendors_key_does_not_verify(build: Build, module: Path, vendor: RegistryServer, tmp_path: Path) -> None:
    result = await build(terraform_module(module))
    other = VendorKey.load_or_create(tmp_path / "other.pem")
    with pytest.raises(SignatureError, match="another"):
        await verify(vendor.client(), "acme/net", result.artifact.digest, (other.public_pem,))


@pytest.mark.e2e
async def test_an_engine_that_travels_comes_out_whole(
    build: Build, module: Path, vendor: RegistryServer, engine: Engine, tmp_path: Path
) -> None:
    result = await build(terraform_module(module, bundle_engine="always"))
    unpacked = await unpack(vendor, result, tmp_path / "into")
    assert unpacked.engine is not None
    assert unpacked.engine.read_bytes() == engine.path.read_bytes()
    assert unpacked.engine.stat().st_mode & stat.S_IXUSR


async def test_providers_travel_as_a_packed_mirror_with_their_lock(
    build: Build, module: Path, vendor: RegistryServer, tmp_path: Path
) -> None:
    platform = current_platform()
    package = tmp_path / "mirror/example.com/acme/dummy/1.0.0" / str(platform)
    package.mkdir(parents=True)
    (package / "terraform-provider-dummy_v1.0.0").write_bytes(b"#!/bin/sh\nexit 1\n")
    (package / "terraform-provider-dummy_v1.0.0").chmod(0o755)
    (tmp_path / "tfrc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tmp_path / "mirror"}"\n  }}\n}}\n'
    )
    (module / "versions.tf").write_text(
        'terraform {\n  required_providers {\n    dummy = {\n      source = "example.com/acme/dummy"\n    }\n  }\n}\n'
    )

    result = await build(terraform_module(module), env={"TF_CLI_CONFIG_FILE": str(tmp_path / "tfrc")})

    unpacked = await unpack(vendor, result, tmp_path / "into")
    zips = list(unpacked.mirror.rglob("*.zip"))
    name = f"example.com/acme/dummy/terraform-provider-dummy_1.0.0_{platform}.zip"
    assert [path.relative_to(unpacked.mirror).as_posix() for path in zips] == [name]
    assert zipfile.ZipFile(zips[0]).namelist() == ["terraform-provider-dummy_v1.0.0"]
    assert "h1:" in (unpacked.source / ".terraform.lock.hcl").read_text()
    assert list(unpacked.config.lock_hashes) == ["example.com/acme/dummy"]
    assert not (module / ".terraform.lock.hcl").exists()


async def test_a_provider_that_cannot_be_had_fails_the_build(build: Build, module: Path, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "tfrc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tmp_path / "mirror"}"\n  }}\n}}\n'
    )
    (module / "more.tf").write_text('resource "dummy_thing" "a" {}\n')
    with pytest.raises(JobFailedError, match="hashicorp/dummy") as failed:
        await build(terraform_module(module), env={"TF_CLI_CONFIG_FILE": str(tmp_path / "tfrc")})
    assert (failed.value.failure.code, failed.value.failure.field) == ("init_failed", "config.source.path")


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "not_a_module"), ("variable {", "module_unreadable"), ('module "a" { source = "../a" }', "module_not_closed")],
)
async def test_a_folder_that_cannot_be_built_is_named(build: Build, module: Path, content: str | None, code: str) -> None:
    (module / "main.tf").unlink()
    if content is not None:
        (module / "main.tf").write_text(content)
    with pytest.raises(JobFailedError) as failed:
        await build(terraform_module(module))
    assert (failed.value.failure.code, failed.value.failure.field) == (code, "config.source.path")
    assert failed.value.failure.remedy
