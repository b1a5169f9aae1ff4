"""A fake IMS, and real Terraform that finds the test's provider process through TF_REATTACH_PROVIDERS."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_ims_http
import pytest
from fake_ims import FakeIms
from terraform_cli import Terraform
from whole_shop import SHOP


@pytest.fixture
def ims() -> Iterator[FakeIms]:
    fake = FakeIms()
    server = fake_ims_http.start(fake)
    yield fake
    fake.let_go()
    server.shutdown()
    server.server_close()


@pytest.fixture
def terraform(tmp_path: Path, ims: FakeIms) -> Iterator[Terraform]:
    """A working folder whose provider is configured for `ims`: no `init`, no start of a process for each command."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    command = [sys.executable, "-I", "-m", "provider_bridge", "--debug"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXCLAVE_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder) as process:
        assert process.stdout
        line = process.stdout.readline().strip()
        reattach = line.removeprefix("TF_REATTACH_PROVIDERS='").removesuffix("'")
        terraform = Terraform(folder, {"TF_REATTACH_PROVIDERS": reattach})
        terraform.write(provider_block(ims), "provider.tf")
        yield terraform
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.fixture
def shop(terraform: Terraform) -> Terraform:
    """The whole shop, written but not applied."""
    terraform.write(SHOP)
    terraform.write('variable "domain" {}\n', "modules/network/main.tf")
    return terraform


@pytest.fixture
def applied(shop: Terraform) -> Terraform:
    """The whole shop, applied."""
    done = shop.apply()
    assert done.code == 0, done.output
    return shop


def provider_block(ims: FakeIms) -> str:
    return f"""
        terraform {{
          required_providers {{
            exclave = {{ source = "exclave/exclave" }}
          }}
        }}
        provider "exclave" {{
          url   = "{ims.url}"
          token = "{fake_ims_http.TOKEN}"
        }}
    """
