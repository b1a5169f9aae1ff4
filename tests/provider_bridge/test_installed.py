"""`exclave provider install`, and the provider as Terraform finds and starts it: by `init`, with TLS, in its own processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_ims import FakeIms
from fake_ims_http import TOKEN
from terraform_cli import Terraform
from test_interrupt import APPLY, SHOP, interrupt_while_waiting

from provider_bridge import install as installation
from provider_bridge.cli import provider_command


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which `exclave provider install` has run."""
    folder = tmp_path / "home"
    done = CliRunner().invoke(provider_command, ["install"], env={"HOME": str(folder)})
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def vendor(tmp_path: Path, home: Path, ims: FakeIms) -> Terraform:
    """A working folder with the quickstart's shape, configured by the environment alone, and initialised."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    environment = {"HOME": str(home), "EXCLAVE_URL": ims.url, "EXCLAVE_TOKEN_FILE": str(token)}
    terraform = Terraform(folder, environment)
    terraform.write(
        'terraform {\n  required_providers {\n    exclave = { source = "exclave/exclave" }\n  }\n}\n', "versions.tf"
    )
    terraform.write(SHOP)
    terraform.write("", "module/main.tf")
    done = terraform.run("init", "-no-color")
    assert done.code == 0, done.output
    return terraform


def test_terraform_finds_the_provider_without_configuration_and_runs_it(vendor: Terraform, ims: FakeIms) -> None:
    done = vendor.apply(TF_LOG_PROVIDER="INFO", TF_LOG_PATH=str(vendor.folder / "log"))
    assert done.code == 0, done.output
    assert vendor.plan().code == 0
    log = (vendor.folder / "log").read_text()
    assert ": network: apply succeeded" in log, "progress is visible with TF_LOG_PROVIDER=INFO"
    assert "build of network succeeded" in log
    assert "timeout while waiting for plugin to exit" not in log
    assert vendor.destroy().code == 0
    assert not ims.apps


def test_ctrl_c_reaches_terraform_and_provider_alike_and_leaves_the_deployment_untainted(
    vendor: Terraform, ims: FakeIms
) -> None:
    assert vendor.apply("-target=exclave_release.current", "-target=exclave_install.acme").code == 0
    ims.hold()
    run = interrupt_while_waiting(vendor, ims, "deploys", *APPLY)
    assert "The deploy goes on" in run.output
    instance = vendor.instance("exclave_deployment.acme")
    assert instance["attributes"]["status"] == "running"
    assert "status" not in instance


def test_no_process_and_no_socket_is_left_behind(vendor: Terraform, tmp_path: Path) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    assert vendor.run("plan", "-no-color", TMPDIR=str(sockets)).code == 0
    assert not list(sockets.glob("tfplugin-*"))


def test_the_lock_file_is_valid_where_python_lives_elsewhere(vendor: Terraform, home: Path, tmp_path: Path) -> None:
    lock = (vendor.folder / ".terraform.lock.hcl").read_text()
    link = tmp_path / "python-elsewhere"
    link.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    link.chmod(0o755)
    installed = installation.install(home / ".terraform.d" / "plugins", "0.1.0", python=str(link))
    assert installed.changed
    shutil.rmtree(vendor.folder / ".terraform")
    done = vendor.run("init", "-no-color")
    assert done.code == 0, done.output
    assert (vendor.folder / ".terraform.lock.hcl").read_text() == lock
    assert vendor.plan().code == 2


def test_a_python_that_is_gone_is_told(vendor: Terraform, home: Path) -> None:
    for note in home.rglob("*.python"):
        note.write_text("/nowhere/python\n")
    launcher = next(home.rglob("terraform-provider-exclave_v*"))
    done = subprocess.run([launcher], capture_output=True, text=True)
    assert done.returncode == 1
    assert "run 'exclave provider install' again" in done.stderr


def test_a_python_that_has_another_version_by_now_is_told(home: Path) -> None:
    for note in home.rglob("*.python"):
        python, installed, *folders = note.read_text().splitlines()
        assert Path(installed).is_dir()
        note.write_text(f"{python}\n{installed.replace('exclave-', 'exclave-before-')}\n{folders[0]}\n")
    launcher = next(home.rglob("terraform-provider-exclave_v*"))
    done = subprocess.run([launcher], capture_output=True, text=True)
    assert done.returncode == 1
    version = launcher.name.rpartition("_v")[2]
    assert f"another version of Exclave than {version} by now: run 'exclave provider install'" in done.stderr
    assert f"pip install exclave=={version}" in done.stderr


def test_an_upgrade_leaves_what_lock_files_have_pinned(home: Path) -> None:
    plugins = home / ".terraform.d" / "plugins"
    before = {path: path.read_text() for path in plugins.rglob("*") if path.is_file()}
    assert installation.install(plugins, "0.2.0").changed
    assert {path: path.read_text() for path in before} == before
    assert len({launcher.parent.parent.name for launcher in plugins.rglob("terraform-provider-exclave_v*")}) == 2


@pytest.mark.parametrize("as_json", [False, True])
def test_a_home_that_cannot_be_written_is_told(tmp_path: Path, as_json: bool) -> None:
    (tmp_path / "home").touch()
    options = ["--json"] if as_json else []
    done = CliRunner().invoke(provider_command, ["install", *options], env={"HOME": str(tmp_path / "home")})
    assert done.exit_code == 1
    assert f"can't write {tmp_path}/home" in done.stderr
    assert "Name another mirror with --directory." in done.stderr
    assert done.stdout == ""


def test_the_layout_serves_terraform_and_opentofu(home: Path) -> None:
    platform = installation.terraform_platform(os.uname().sysname, os.uname().machine)
    for host in ("registry.terraform.io", "registry.opentofu.org"):
        versions = home / ".terraform.d" / "plugins" / host / "exclave" / "exclave"
        (version,) = (folder.name for folder in versions.iterdir())
        package = versions / version / platform
        assert [file.name for file in package.iterdir()] == [f"terraform-provider-exclave_v{version}"]
        assert (package / f"terraform-provider-exclave_v{version}").stat().st_mode & 0o777 == 0o755


def test_a_second_install_writes_nothing_and_says_so(home: Path) -> None:
    done = CliRunner().invoke(provider_command, ["install", "--json"], env={"HOME": str(home)})
    assert json.loads(done.output)["changed"] is False
    files = {file: file.stat().st_mtime_ns for file in home.rglob("*") if file.is_file()}
    done = CliRunner().invoke(provider_command, ["install"], env={"HOME": str(home)})
    assert done.output.startswith("Already installed")
    assert 'source  = "exclave/exclave"' in done.output
    assert "EXCLAVE_TOKEN_FILE" in done.output
    assert {file: file.stat().st_mtime_ns for file in home.rglob("*") if file.is_file()} == files


def test_a_damaged_install_is_mended(home: Path) -> None:
    launcher = next(home.rglob("terraform-provider-exclave_v*"))
    right = launcher.read_text()
    launcher.write_text("damaged")
    launcher.chmod(0o600)
    CliRunner().invoke(provider_command, ["install"], env={"HOME": str(home)})
    assert launcher.read_text() == right
    assert launcher.stat().st_mode & 0o777 == 0o755


def test_a_python_without_the_provider_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ModuleNotFoundError: No module named provider_bridge' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(installation.InstallError, match="virtual environment"):
        installation.install(tmp_path / "plugins", "0.1.0", python=str(python))
    assert not (tmp_path / "plugins").exists()


@pytest.mark.parametrize(
    ("system", "machine", "platform"),
    [
        ("Linux", "x86_64", "linux_amd64"),
        ("Linux", "aarch64", "linux_arm64"),
        ("Linux", "armv7l", "linux_arm"),
        ("Darwin", "arm64", "darwin_arm64"),
        ("FreeBSD", "amd64", "freebsd_amd64"),
    ],
)
def test_platforms_are_named_as_terraform_names_them(system: str, machine: str, platform: str) -> None:
    assert installation.terraform_platform(system, machine) == platform


def test_windows_is_refused_in_words() -> None:
    with pytest.raises(installation.InstallError, match="needs Linux, macOS or FreeBSD"):
        installation.terraform_platform("Windows", "AMD64")


@pytest.mark.parametrize(
    ("python_version", "version"),
    [("0.1.0", "0.1.0"), ("1.2", "1.2.0"), ("0.2.0.dev3", "0.2.0-dev3"), ("1.0.0rc1", "1.0.0-rc1"), ("1.0+local", "1.0.0")],
)
def test_versions_are_written_as_terraform_writes_them(python_version: str, version: str) -> None:
    assert installation.terraform_version(python_version) == version
