"""One module for install agents on several platforms: an index, whose bundles share what they can, held to the lock file."""

import json
import os
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from build_job import Build, BuildAgent
from pydantic import ValidationError
from registry_server import RegistryServer, serve
from remote_modules import RemoteModules, serve_modules
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from agent.build.terraform_module.network_mirror import download_package
from agent.bundle.lock import files_hash, zip_hash
from agent.bundle.manifest import ARTIFACT_TYPE
from agent.bundle.platform import Platform, current_platform
from agent.bundle.providers import ProviderMissingError, package_files
from agent.bundle.unpack import UnpackedBundle, WrongPlatformError, fetch_bundle
from agent.engine.find import Engine, EngineNotFoundError, find_engine
from agent.failure import JobFailedError
from agent.oci.manifest import IMAGE_INDEX
from agent.oci.signature import verify
from api.contract.base import Failure
from api.contract.components import EngineLayer, PathSource, Source, TerraformModuleConfig
from api.terraform_registry.openpgp import PackageKey

pytestmark = pytest.mark.anyio

OWN = current_platform()
OTHER = Platform(os="linux", architecture="arm64" if OWN.architecture != "arm64" else "amd64")
PLATFORMS = [str(each).replace("_", "/") for each in (OWN, OTHER)]
HOST = "registry.example.com"
ADDRESS = f"{HOST}/acme/dummy"
PROGRAM = "terraform-provider-dummy_v1.0.0"
MAIN = f"""
terraform {{
  required_providers {{
    dummy = {{ source = "{ADDRESS}" }}
  }}
}}
output "one" {{ value = 1 }}
"""


@dataclass(frozen=True)
class Vendor:
    """A vendor's machine: a module, a filesystem mirror, and the CLI configuration that names it."""

    folder: Path
    build_it: Build

    @property
    def module(self) -> Path:
        return self.folder / "module"

    @property
    def mirror(self) -> Path:
        return self.folder / "mirror"

    @property
    def lock(self) -> Path:
        return self.module / ".terraform.lock.hcl"

    def unpacked(self, platform: Platform, content: str = "") -> Path:
        package = self.mirror / ADDRESS / "1.0.0" / str(platform)
        package.mkdir(parents=True, exist_ok=True)
        (package / PROGRAM).write_text(f"#!/bin/sh\n# {platform} {content}\nexit 1\n")
        (package / PROGRAM).chmod(0o755)
        return package

    def packed(self, platform: Platform, folder: Path | None = None) -> Path:
        target = (folder or self.mirror / ADDRESS) / f"terraform-provider-dummy_1.0.0_{platform}.zip"
        target.parent.mkdir(parents=True, exist_ok=True)
        entry = zipfile.ZipInfo(PROGRAM)
        entry.external_attr = 0o100755 << 16
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr(entry, f"#!/bin/sh\n# {platform} \nexit 1\n")
        return target

    def installed_from(self, *methods: str) -> None:
        body = "\n  ".join(methods)
        self.folder.joinpath("tfrc").write_text(f"provider_installation {{\n  {body}\n}}\n")

    def locked(self, *hashes: str) -> None:
        lines = "".join(f'    "{each}",\n' for each in hashes)
        self.lock.write_text(f'provider "{ADDRESS}" {{\n  version = "1.0.0"\n  hashes = [\n{lines}  ]\n}}\n')

    async def build(
        self, platforms: list[str] = PLATFORMS, engine: EngineLayer = "never", env: dict[str, str] | None = None
    ) -> str:
        source = Source(path=PathSource(path=str(self.module)))
        config = TerraformModuleConfig(source=source, platforms=platforms, bundle_engine=engine)
        result = await self.build_it(config, env={"TF_CLI_CONFIG_FILE": str(self.folder / "tfrc")} | (env or {}))
        return result.artifact.digest

    async def failure(self, **options: Any) -> Failure:
        with pytest.raises(JobFailedError) as failed:
            await self.build(**options)
        return failed.value.failure


@pytest.fixture(scope="module")
def engine() -> Engine:
    try:
        return find_engine(None, os.environ)
    except EngineNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def machine(tmp_path: Path, build_agent: BuildAgent, engine: Engine) -> Vendor:
    machine = Vendor(tmp_path / "machine", build_agent.builds("acme/net", engine))
    machine.module.mkdir(parents=True)
    (machine.module / "main.tf").write_text(MAIN)
    machine.installed_from(f'filesystem_mirror {{\n    path = "{machine.mirror}"\n  }}')
    return machine


async def unpack(server: RegistryServer, digest: str, folder: Path, platform: Platform) -> UnpackedBundle:
    return await fetch_bundle(server.client(), "acme/net", digest, folder / str(platform), platform=platform)


async def test_each_platform_gets_its_own_providers_and_all_share_one_source(
    machine: Vendor, vendor: RegistryServer, build_agent: BuildAgent, tmp_path: Path
) -> None:
    machine.unpacked(OWN)
    machine.packed(OTHER)
    digest = await machine.build()
    await verify(vendor.client(), "acme/net", digest, (build_agent.key.public_pem,))

    made = await vendor.client().get_manifest("acme/net", digest)
    index = json.loads(made.data)
    assert (made.media_type, index["artifactType"]) == (IMAGE_INDEX, ARTIFACT_TYPE)
    children = [(await vendor.client().get_manifest("acme/net", each["digest"])).body() for each in index["manifests"]]
    assert children[0].layers[0] == children[1].layers[0]
    for platform in (OWN, OTHER):
        bundle = await unpack(vendor, digest, tmp_path, platform)
        assert bundle.config.platform == platform
        (package,) = bundle.mirror.rglob("*.zip")
        assert package.name == f"terraform-provider-dummy_1.0.0_{platform}.zip"
        assert str(platform) in zipfile.ZipFile(package).read(PROGRAM).decode()
        assert zipfile.ZipFile(package).infolist()[0].external_attr >> 16 == 0o100755


async def test_the_lock_file_in_the_bundle_has_what_every_platform_needs(
    machine: Vendor, vendor: RegistryServer, tmp_path: Path
) -> None:
    own, other = machine.unpacked(OWN), machine.unpacked(OTHER)
    bundle = await unpack(vendor, await machine.build(), tmp_path, OTHER)
    # The first one is the engine's own count of the same thing.
    assert set(bundle.config.lock_hashes[ADDRESS]) == {files_hash(package_files(each)) for each in (own, other)}


async def test_the_same_module_for_the_same_platforms_has_one_digest(machine: Vendor) -> None:
    machine.unpacked(OWN)
    machine.packed(OTHER)
    assert await machine.build() == await machine.build(platforms=[*reversed(PLATFORMS), PLATFORMS[0]])


async def test_one_other_platform_needs_no_index(machine: Vendor, vendor: RegistryServer, tmp_path: Path) -> None:
    machine.unpacked(OWN)
    machine.unpacked(OTHER)
    digest = await machine.build(platforms=PLATFORMS[1:])
    assert (await unpack(vendor, digest, tmp_path, OTHER)).config.platform == OTHER
    with pytest.raises(WrongPlatformError, match=f"is for {OTHER}"):
        await unpack(vendor, digest, tmp_path, OWN)


async def test_an_agent_on_a_platform_that_was_not_built_is_told_which_there_are(
    machine: Vendor, vendor: RegistryServer, tmp_path: Path
) -> None:
    machine.unpacked(OWN)
    machine.unpacked(OTHER)
    with pytest.raises(WrongPlatformError, match=f"{OWN}.*darwin_arm64") as refused:
        await unpack(vendor, await machine.build(), tmp_path, Platform(os="darwin", architecture="arm64"))
    assert "darwin/arm64" in refused.value.failure.remedy


async def test_a_package_that_the_lock_file_does_not_know_is_refused(machine: Vendor) -> None:
    own, other = machine.unpacked(OWN), machine.unpacked(OTHER)
    machine.locked(files_hash(package_files(own)), files_hash(package_files(other)))
    await machine.build()
    machine.unpacked(OTHER, "changed")
    refused = await machine.failure()
    assert (refused.code, refused.field) == ("provider_not_locked", "config.platforms")
    assert f"-platform={OTHER}" in refused.remedy


async def test_a_lock_file_with_the_registrys_hashes_will_do(machine: Vendor, vendor: RegistryServer, tmp_path: Path) -> None:
    own = machine.unpacked(OWN)
    archive = machine.packed(OTHER)
    machine.locked(files_hash(package_files(own)), zip_hash(archive))
    bundle = await unpack(vendor, await machine.build(), tmp_path, OTHER)
    assert len(bundle.config.lock_hashes[ADDRESS]) == 3


async def test_a_platform_without_the_provider_is_named_with_the_places_that_were_looked_at(machine: Vendor) -> None:
    machine.unpacked(OWN)
    refused = await machine.failure()
    assert (refused.code, refused.field) == ("provider_missing", "config.platforms")
    assert f"{ADDRESS} 1.0.0 isn't there for {OTHER}" in refused.message
    assert str(machine.mirror) in refused.message


@pytest.mark.e2e
async def test_an_engine_that_travels_must_be_here_for_each_platform(
    machine: Vendor, vendor: RegistryServer, engine: Engine, tmp_path: Path
) -> None:
    machine.unpacked(OWN)
    machine.unpacked(OTHER)
    refused = await machine.failure(engine="always")
    folder = f"{engine.name}_{engine.version}_{OTHER}"
    assert (refused.code, refused.field) == ("engine_not_found", "config.platforms")
    assert f"{folder}/{engine.name}" in refused.remedy

    program = tmp_path / "engines" / folder / engine.name
    program.parent.mkdir(parents=True)
    program.write_text("the other platform's")
    digest = await machine.build(engine="always", env={"EXCLAVE_ENGINES": str(tmp_path / "engines")})
    bundle = await unpack(vendor, digest, tmp_path, OTHER)
    assert bundle.engine is not None
    assert bundle.engine.read_text() == "the other platform's"


@pytest.fixture
async def network_mirror(tmp_path: Path) -> AsyncIterator[str]:
    (tmp_path / "www").mkdir()
    async with serve(Starlette(routes=[Mount("/", StaticFiles(directory=tmp_path / "www"))])) as url:
        yield url


async def test_a_network_mirror_gives_what_it_has_for_a_platform(
    machine: Vendor, network_mirror: str, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    archive = machine.packed(OTHER, tmp_path / "www" / ADDRESS)
    index = tmp_path / "www" / ADDRESS / "1.0.0.json"
    index.write_text(json.dumps({"archives": {str(OTHER): {"url": archive.name}}}))
    found = await download_package(http, network_mirror, ADDRESS, "1.0.0", OTHER, tmp_path)
    assert found is not None
    assert found.read_bytes() == archive.read_bytes()
    assert await download_package(http, network_mirror, ADDRESS, "1.0.0", OWN, tmp_path) is None
    assert await download_package(http, network_mirror, ADDRESS, "2.0.0", OTHER, tmp_path) is None
    index.write_text("no index")
    with pytest.raises(ProviderMissingError, match="can't be had of"):
        await download_package(http, network_mirror, ADDRESS, "1.0.0", OTHER, tmp_path)


async def test_a_network_mirror_of_the_cli_configuration_is_asked(machine: Vendor, network_mirror: str) -> None:
    machine.unpacked(OWN)
    # The engine is content with the folder; only it insists on TLS.
    machine.installed_from(
        f'filesystem_mirror {{\n    path = "{machine.mirror}"\n  }}',
        f'network_mirror {{\n    url = "{network_mirror.replace("http:", "https:")}/"\n    exclude = ["*/*/*"]\n  }}',
    )
    refused = await machine.failure()
    assert (refused.code, "can't be had of https://" in refused.message) == ("provider_missing", True)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RemoteModules]:
    registry = serve_modules(tmp_path / "remote")
    yield registry
    registry.close()


async def test_packages_come_from_the_registry_by_the_engine_and_are_held_to_what_it_signed(
    machine: Vendor, vendor: RegistryServer, registry: RemoteModules, tmp_path: Path
) -> None:
    publish(machine, registry)
    services = f'services = {{ "providers.v1" = "https://{registry.host}/v1/providers/" }}'
    (machine.folder / "tfrc").write_text(f'host "{HOST}" {{\n  {services}\n}}\n')
    digest = await machine.build(env={"SSL_CERT_FILE": str(registry.ca)})
    bundle = await unpack(vendor, digest, tmp_path, OTHER)
    (package,) = bundle.mirror.rglob("*.zip")
    assert str(OTHER) in zipfile.ZipFile(package).read(PROGRAM).decode()
    kinds = [each.partition(":")[0] for each in bundle.config.lock_hashes[ADDRESS]]
    assert kinds == ["h1", "h1", "zh", "zh"]


def publish(machine: Vendor, registry: RemoteModules) -> None:
    """The provider in a registry: https://developer.hashicorp.com/terraform/internals/provider-registry-protocol."""
    folder, key = registry.folder / "v1/providers/acme/dummy", PackageKey.open(machine.folder / "key.pem")
    platforms = [{"os": each.os, "arch": each.architecture} for each in (OWN, OTHER)]
    archives = {each: machine.packed(each, folder) for each in (OWN, OTHER)}
    versions = {"versions": [{"version": "1.0.0", "protocols": ["6.0"], "platforms": platforms}]}
    (folder / "versions").write_text(json.dumps(versions))
    shasums = "".join(f"{zip_hash(path).removeprefix('zh:')}  {path.name}\n" for path in archives.values()).encode()
    (folder / "SHA256SUMS").write_bytes(shasums)
    (folder / "SHA256SUMS.sig").write_bytes(key.sign(shasums, datetime(2026, 1, 1, tzinfo=UTC)))
    base = f"https://{registry.host}/v1/providers/acme/dummy"
    for platform, path in archives.items():
        answer = {
            "protocols": ["6.0"],
            "os": platform.os,
            "arch": platform.architecture,
            "filename": path.name,
            "download_url": f"{base}/{path.name}",
            "shasums_url": f"{base}/SHA256SUMS",
            "shasums_signature_url": f"{base}/SHA256SUMS.sig",
            "shasum": zip_hash(path).removeprefix("zh:"),
            "signing_keys": {"gpg_public_keys": [{"key_id": key.key_id, "ascii_armor": key.public}]},
        }
        download = folder / "1.0.0/download" / platform.os / platform.architecture
        download.parent.mkdir(parents=True, exist_ok=True)
        download.write_text(json.dumps(answer))


@pytest.mark.parametrize("platform", ["linux", "linux_arm64", "linux/arm/v7", "Linux/arm64", "/"])
def test_a_platform_is_an_operating_system_and_an_architecture(platform: str) -> None:
    with pytest.raises(ValidationError, match="linux/arm64"):
        TerraformModuleConfig(source=Source(path=PathSource(path=".")), platforms=[platform])
