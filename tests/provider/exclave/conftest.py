"""Exclave's provider in the test's own process, before a real IMS in another: what is written there is what is read back."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from signal import SIGTERM

import pytest
from engines import Engine
from harness import Workspace, served
from real_ims import RealIms
from server_process import ServerProcess

from provider_bridge.resources.provider import ExclaveProvider

ADDRESS = "registry.terraform.io/exclave/exclave"
PREAMBLE = """
terraform {
  required_providers {
    exclave = { source = "exclave/exclave" }
  }
}
"""
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def ims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealIms]:
    process = ServerProcess(tmp_path_factory.mktemp("ims") / "data")
    try:
        yield RealIms(process)
    finally:
        process.end(SIGTERM)


@pytest.fixture
def workspace(ims: RealIms, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A folder whose provider is at work on the IMS. What it makes is destroyed at the end."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)  # where Terraform would start the provider
    provider = ExclaveProvider({"EXCLAVE_URL": ims.url, "EXCLAVE_TOKEN": ims.token})
    with closing(provider), served(provider, ADDRESS) as reattach:
        workspace = Workspace(engine, folder, PREAMBLE, {"TF_REATTACH_PROVIDERS": reattach})
        yield workspace
        workspace.destroy()


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"t{next(_numbers)}"
