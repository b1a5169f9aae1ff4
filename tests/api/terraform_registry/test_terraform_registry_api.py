"""Terraform's registry and mirror protocols, answer by answer. (That `terraform init` takes them: tests/e2e.)"""

import hashlib
import platform
import zipfile
from pathlib import Path

import pytest
from ims_driver import Ims

from api.settings import UnusableDataError
from api.terraform_registry import filling, packages
from api.terraform_registry.filling import Filler, pack_module, semantic, system_of
from api.terraform_registry.openpgp import PackageKey
from api.terraform_registry.packages import Packages

pytestmark = pytest.mark.anyio
PROVIDERS = "/terraform/providers/v1"
MODULES = "/terraform/modules/v1"
MIRROR = "/terraform/mirror/registry.terraform.io"
HERE = f"{platform.system().lower()}_{filling._ARCHITECTURES.get(platform.machine(), platform.machine())}"
VERSION = "0.1.0"


def write_package(folder: Path, name: str, content: str = "a provider") -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("terraform-provider-exclave", content)
    return folder / name


@pytest.fixture
def folder(fresh_ims: Ims) -> Path:
    """The IMS's folder, with packages of its own platform (so that it makes none) and of another, in two versions."""
    folder = fresh_ims.data / "packages"
    for name in (f"{VERSION}_{HERE}", f"{VERSION}_darwin_arm64", "0.0.9-rc1_darwin_arm64"):
        write_package(folder, f"terraform-provider-exclave_{name}.zip", name)
    for version in ("0.0.9", VERSION):
        write_package(folder, f"test-access_aws_{version}.zip", version)
    return folder


async def test_discovery_leads_to_both_registries(fresh_ims: Ims) -> None:
    found = await fresh_ims.ok("GET", "/.well-known/terraform.json", token=None)
    assert found == {"providers.v1": f"{PROVIDERS}/", "modules.v1": f"{MODULES}/"}


async def test_versions_and_platforms_are_those_of_the_folder(fresh_ims: Ims, folder: Path) -> None:
    path = f"{PROVIDERS}/exclave/exclave/versions"
    found = {one["version"]: one for one in (await fresh_ims.ok("GET", path, token=None))["versions"]}
    assert set(found) == {VERSION, "0.0.9-rc1"}
    assert found["0.0.9-rc1"]["platforms"] == [{"os": "darwin", "arch": "arm64"}]
    assert found[VERSION]["protocols"] == ["6.0"]
    write_package(folder, "terraform-provider-exclave_0.2.0_linux_arm64.zip")
    write_package(folder, ".terraform-provider-exclave_0.3.0_linux_arm64.zip")
    write_package(folder, "terraform-provider-other_0.3.0_linux_arm64.zip")
    versions = [one["version"] for one in (await fresh_ims.ok("GET", path, token=None))["versions"]]
    assert sorted(versions) == ["0.0.9-rc1", VERSION, "0.2.0"], "without a restart, and only whole packages of ours"


async def test_a_download_names_the_zip_its_checksum_and_who_signed_it(fresh_ims: Ims, folder: Path) -> None:
    base = f"{PROVIDERS}/exclave/exclave/{VERSION}"
    found = await fresh_ims.ok("GET", f"{base}/download/darwin/arm64", token=None)
    name = f"terraform-provider-exclave_{VERSION}_darwin_arm64.zip"
    content = (folder / name).read_bytes()
    assert (found["filename"], found["shasum"]) == (name, hashlib.sha256(content).hexdigest())
    answer = await fresh_ims.send("GET", found["download_url"], token=None)
    assert (answer.content, answer.headers["content-type"]) == (content, "application/zip")
    sums = await fresh_ims.send("GET", f"{base}/SHA256SUMS", token=None)
    assert f"{found['shasum']}  {name}\n" in sums.text
    assert len(sums.text.splitlines()) == 2, "of this version alone"
    signature = await fresh_ims.send("GET", f"{base}/SHA256SUMS.sig", token=None)
    assert signature.content[:2] == b"\xc2\xff"
    again = await fresh_ims.ok("GET", f"{base}/download/darwin/arm64", token=None)
    assert again["signing_keys"] == found["signing_keys"]


async def test_the_mirror_says_both_hashes_for_every_host(fresh_ims: Ims, folder: Path) -> None:
    index = await fresh_ims.ok("GET", f"{MIRROR}/exclave/exclave/index.json", token=None)
    assert index == {"versions": {VERSION: {}, "0.0.9-rc1": {}}}
    for host in ("registry.terraform.io", "registry.opentofu.org", "ims.example.com"):
        path = f"/terraform/mirror/{host}/exclave/exclave/0.0.9-rc1.json"
        (archive,) = (await fresh_ims.ok("GET", path, token=None))["archives"].values()
        sha256 = hashlib.sha256((await fresh_ims.send("GET", archive["url"], token=None)).content).hexdigest()
        line = f"{hashlib.sha256(b'0.0.9-rc1_darwin_arm64').hexdigest()}  terraform-provider-exclave\n"
        h1 = packages.base64.b64encode(hashlib.sha256(line.encode()).digest()).decode()
        assert archive["hashes"] == [f"h1:{h1}", f"zh:{sha256}"]


async def test_a_module_is_where_its_header_says(fresh_ims: Ims, folder: Path) -> None:
    base = f"{MODULES}/exclave/test-access/aws"
    found = await fresh_ims.ok("GET", f"{base}/versions", token=None)
    assert found == {"modules": [{"versions": [{"version": "0.0.9"}, {"version": VERSION}]}]}
    answer = await fresh_ims.send("GET", f"{base}/{VERSION}/download", token=None)
    assert answer.status_code == 204
    package = await fresh_ims.send("GET", answer.headers["x-terraform-get"], token=None)
    assert package.content == (folder / f"test-access_aws_{VERSION}.zip").read_bytes()


async def test_what_is_not_there_is_told(fresh_ims: Ims, folder: Path) -> None:
    (folder / "secret.zip").touch()
    for path, words in [
        (f"{PROVIDERS}/hashicorp/null/versions", "no provider hashicorp/null here, only exclave/exclave"),
        (f"{PROVIDERS}/exclave/exclave/9.9.9/SHA256SUMS", "no package of the provider 9.9.9"),
        (f"{PROVIDERS}/exclave/exclave/{VERSION}/download/plan9/mips", "for plan9_mips here, only for"),
        (f"{MIRROR}/hashicorp/null/index.json", "no provider hashicorp/null"),
        (f"{MODULES}/exclave/test-access/google/versions", "no module exclave/test-access/google"),
        (f"{MODULES}/exclave/test-access/aws/9.9.9/download", "no version 9.9.9"),
        ("/terraform/files/secret.zip", "no package 'secret.zip'"),
        ("/terraform/files/..%2Fadmin.token", "no package"),
        ("/terraform/files/packages.key", "no package"),
    ]:
        answer = await fresh_ims.send("GET", path, token=None)
        assert answer.status_code == 404, path
        assert words in answer.text or "%2F" in path, answer.text


async def test_modules_are_packed_once_and_stay_as_they_are(tmp_path: Path) -> None:
    module = tmp_path / "modules" / "ecr-access"
    (module / "examples").mkdir(parents=True)
    (module / "main.tf").write_text('terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws" }\n  }\n}\n')
    (module / "examples" / "main.tf").write_text("# an example\n")
    (module / ".terraform").mkdir()
    (module / ".terraform" / "left.tf").touch()
    (module / "terraform.tfstate").write_text("secret")
    (tmp_path / "modules" / "odd-access").mkdir()
    served = Packages(tmp_path / "packages")
    filler = Filler(served, (tmp_path / "nowhere", tmp_path / "modules"))
    filler._pack_modules(VERSION)
    (package,) = served.modules("ecr-access", "aws")
    with zipfile.ZipFile(package.path) as archive:
        assert archive.namelist() == ["examples/main.tf", "main.tf"]
    before = package.path.read_bytes()
    pack_module(module, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == before
    (module / "main.tf").write_text("# changed\n")
    filler._pack_modules(VERSION)
    assert package.path.read_bytes() == before


@pytest.mark.parametrize(
    ("source", "system"),
    [('"hashicorp/aws"', "aws"), ('"registry.opentofu.org/hashicorp/google"', "google"), ('"other/aws"', None)],
)
def test_the_system_of_a_module_is_the_cloud_whose_provider_it_requires(
    tmp_path: Path, source: str, system: str | None
) -> None:
    (tmp_path / "versions.tf").write_text(f"cloud = {{ source = {source} }}")
    assert system_of(tmp_path) == system


async def test_a_folder_that_cannot_be_filled_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "modules" / "gar-access").mkdir(parents=True)
    (tmp_path / "modules" / "gar-access" / "main.tf").write_text('"hashicorp/google"')
    filler = Filler(Packages(tmp_path / "file"), (tmp_path / "modules",))
    for _ in range(3):
        await filler.filled()
    assert len([one for one in caplog.records if "can't fill" in one.getMessage()]) == 1
    await filler.close()


@pytest.mark.service
def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "packages.key"
    first = PackageKey.open(path)
    assert path.stat().st_mode & 0o777 == 0o600
    second = PackageKey.open(path)
    assert (second.key_id, second.public) == (first.key_id, first.public)


def test_a_file_that_holds_no_key_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "packages.key").write_text("nothing")
    with pytest.raises(UnusableDataError, match="must hold an RSA key"):
        PackageKey.open(tmp_path / "packages.key")


@pytest.mark.parametrize(
    ("python", "terraform"),
    [("0.1.0", "0.1.0"), ("0.2.0.dev3", "0.2.0-dev3"), ("1.0.0rc1", "1.0.0-rc1"), ("1.0.0+here", "1.0.0")],
)
def test_versions_are_written_as_the_provider_is_installed(python: str, terraform: str) -> None:
    from provider_bridge.install import terraform_version

    assert semantic(python) == terraform == terraform_version(python)
