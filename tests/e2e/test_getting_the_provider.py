"""How vendors get the provider and the modules: `terraform init` against an IMS that speaks https, and from its mirrors."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from certificates import make_certificates
from server_process import ServerProcess
from tunnel import tunnel

from agent.engine.find import Engine, examine, library_path
from api.terraform_registry.filling import pack_module

pytestmark = pytest.mark.e2e

HOST = "ims.example.com"
VERSION = "0.1.0"
MODULE = 'variable "region" {\n  type    = string\n  default = "eu-central-1"\n}\n\noutput "where" { value = var.region }\n'
APP = """
terraform {
  required_providers {
    exclave = { source = "SOURCE" }
  }
}

resource "exclave_app" "shop" { name = "NAME" }
"""
USE_OF_MODULE = """
module "access" {
  source  = "HOST/exclave/test-access/aws"
  version = "0.1.0"
  region  = "eu-west-1"
}

output "where" { value = module.access.where }
"""


@dataclass(frozen=True)
class Registry:
    """An IMS on https, whose certificate only `ca` vouches for."""

    server: ServerProcess
    ca: Path
    proxy: str
    """Leads HOST to the IMS."""

    @property
    def packages(self) -> Path:
        return self.server.data / "packages"


@dataclass(frozen=True)
class Vendor:
    """A working folder, a home with nothing in it, and an engine."""

    engine: Engine
    folder: Path
    registry: Registry

    def run(self, *arguments: str, code: int = 0, config: str = "") -> str:
        """Run the engine, which must end with `code`; what it said. `config` is its settings file's text."""
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        settings = home / "settings.tfrc"
        settings.write_text(config)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "EXCLAVE_", "XDG_"))}
        environment = kept | {
            "HOME": str(home),
            "HTTPS_PROXY": self.registry.proxy,
            "SSL_CERT_FILE": str(self.registry.ca),
            "TF_CLI_CONFIG_FILE": str(settings),
            "CHECKPOINT_DISABLE": "1",
            "TF_REGISTRY_CLIENT_TIMEOUT": "60",
            "EXCLAVE_URL": self.registry.server.url,
            "EXCLAVE_TOKEN_FILE": str(self.registry.server.data / "admin.token"),
        }
        done = subprocess.run(
            [*self.engine.argv(), *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def write(self, source: str, more: str = "") -> None:
        name = f"shop-{self.engine.kind}-{self.folder.parent.name}".replace("_", "-")[:60].strip("-")
        text = (APP + more).replace("SOURCE", source).replace("NAME", name).replace("HOST", HOST)
        (self.folder / "main.tf").write_text(text)

    def apply_and_plan_nothing(self) -> None:
        self.run("apply", "-auto-approve", "-input=false", "-no-color")
        self.run("plan", "-detailed-exitcode", "-input=false", "-no-color")
        self.run("destroy", "-auto-approve", "-input=false", "-no-color")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("ims")
    make_certificates(folder / "tls", "localhost", HOST)
    module = folder / "test-access"
    module.mkdir()
    (module / "main.tf").write_text(MODULE)
    (folder / "data").mkdir(mode=0o700)
    pack_module(module, folder / "data" / "packages" / "test-access_aws_0.1.0.zip")
    options = ("--tls-certificate", f"{folder}/tls/server.pem", "--tls-key", f"{folder}/tls/server.key")
    server = ServerProcess(folder / "data", *options)
    try:
        port = server.url.rpartition(":")[2]
        assert server.url == f"https://127.0.0.1:{port}"
        server.url = f"https://localhost:{port}"
        with tunnel(HOST, int(port)) as proxy:
            yield Registry(server, folder / "tls" / "ca.pem", proxy)
    finally:
        server.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `exclave provider package` makes."""
    folder = tmp_path_factory.mktemp("made")
    subprocess.run([sys.executable, "-m", "api.cli", "provider", "package", "--output", str(folder)], check=True)
    return folder


@pytest.fixture(params=["terraform", "library"])
def vendor(request: pytest.FixtureRequest, tmp_path: Path, registry: Registry) -> Vendor:
    found = shutil.which("terraform") if request.param == "terraform" else library_path()
    if not found:
        pytest.skip("terraform isn't on PATH" if request.param == "terraform" else "the extra `terraform` isn't installed")
    folder = tmp_path / "work"
    folder.mkdir()
    return Vendor(examine(Path(found), os.environ), folder, registry)


def test_init_gets_the_provider_and_a_module_from_the_registry_of_the_ims(vendor: Vendor) -> None:
    vendor.write(f"{HOST}/exclave/exclave", USE_OF_MODULE)
    said = vendor.run("init", "-input=false", "-no-color")
    assert "self-signed, key ID" in said
    assert "Downloading " in said
    lock = (vendor.folder / ".terraform.lock.hcl").read_text()
    assert "h1:" in lock
    assert "zh:" in lock
    vendor.apply_and_plan_nothing()
    vendor.run("init", "-input=false", "-no-color")
    assert (vendor.folder / ".terraform.lock.hcl").read_text() == lock


def test_init_without_trust_in_the_certificate_gets_nothing(vendor: Vendor, tmp_path: Path) -> None:
    make_certificates(tmp_path / "others", HOST)
    stranger = replace(vendor, registry=replace(vendor.registry, ca=tmp_path / "others" / "ca.pem"))
    stranger.write(f"{HOST}/exclave/exclave")
    assert "certificate" in stranger.run("init", "-input=false", "-no-color", code=1)


def test_init_gets_the_provider_from_the_network_mirror_of_the_ims(vendor: Vendor) -> None:
    vendor.write("exclave/exclave")
    mirror = f"https://{HOST}/terraform/mirror/"
    config = f'provider_installation {{\n  network_mirror {{\n    url = "{mirror}"\n  }}\n}}\n'
    vendor.run("init", "-input=false", "-no-color", config=config)
    vendor.run("validate", "-no-color")


@pytest.mark.parametrize("unpacked", [False, True], ids=["packed", "unpacked"])
def test_init_gets_the_provider_from_a_filesystem_mirror(vendor: Vendor, made: Path, tmp_path: Path, unpacked: bool) -> None:
    vendor.write("exclave/exclave")
    (package,) = made.iterdir()
    target = tmp_path / "mirror" / "registry.terraform.io" / "exclave" / "exclave"
    if unpacked:
        target = target / VERSION / package.stem.partition(f"_{VERSION}_")[2]
        target.mkdir(parents=True)
        shutil.unpack_archive(package, target)
        (target / f"terraform-provider-exclave_v{VERSION}").chmod(0o755)
    else:
        target.mkdir(parents=True)
        shutil.copy(package, target)
    config = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tmp_path}/mirror"\n  }}\n}}\n'
    vendor.run("init", "-input=false", "-no-color", config=config)
    vendor.run("validate", "-no-color")


def test_a_package_that_changed_under_its_version_is_refused(vendor: Vendor) -> None:
    vendor.write(f"{HOST}/exclave/exclave")
    vendor.run("init", "-input=false", "-no-color")
    (package,) = vendor.registry.packages.glob("terraform-provider-*.zip")
    right = package.read_bytes()
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr("added", "by somebody")
    try:
        shutil.rmtree(vendor.folder / ".terraform")
        said = vendor.run("init", "-input=false", "-no-color", code=1)
    finally:
        package.write_bytes(right)
    assert "doesn't match any of the checksums" in " ".join(said.split())


@pytest.mark.skipif(not shutil.which("gpg"), reason="gpg isn't installed")
def test_gpg_takes_the_key_and_the_signature_and_refuses_other_content(registry: Registry, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=str(registry.ca))

    def get(path: str) -> bytes:
        with urllib.request.urlopen(f"{registry.server.url}{path}", context=context) as answer:
            return answer.read()

    base = "/terraform/providers/v1/exclave/exclave"
    (version,) = json.loads(get(f"{base}/versions"))["versions"]
    (platform,) = version["platforms"]
    found = json.loads(get(f"{base}/{version['version']}/download/{platform['os']}/{platform['arch']}"))
    (key,) = found["signing_keys"]["gpg_public_keys"]
    (tmp_path / "key").write_text(key["ascii_armor"])
    (tmp_path / "sums").write_bytes(get(f"{base}/{version['version']}/SHA256SUMS"))
    (tmp_path / "signature").write_bytes(get(f"{base}/{version['version']}/SHA256SUMS.sig"))
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)

    def gpg(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["gpg", "--homedir", str(home), "--batch", "--no-autostart", "--status-fd", "1", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    imported = gpg("--import", "key")
    assert "IMPORT_OK 1" in imported.stdout, imported.stderr
    verified = gpg("--verify", "signature", "sums")
    assert verified.returncode == 0, verified.stderr
    assert f"GOODSIG {key['key_id']}" in verified.stdout
    (tmp_path / "sums").write_bytes((tmp_path / "sums").read_bytes().replace(b"linux", b"darwin"))
    assert "BADSIG" in gpg("--verify", "signature", "sums").stdout
    assert (registry.server.data / "packages.key").stat().st_mode & 0o777 == 0o600
