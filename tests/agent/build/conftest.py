from pathlib import Path

import pytest
from build_job import BuildAgent, MakeBuild
from registry_server import RegistryServer

from agent.oci.vendor_key import VendorKey


@pytest.fixture
def key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "key.pem")


@pytest.fixture
def build_agent(tmp_path: Path, vendor: RegistryServer, key: VendorKey) -> BuildAgent:
    return BuildAgent(tmp_path, vendor, key)


@pytest.fixture
def make_build(build_agent: BuildAgent) -> MakeBuild:
    return build_agent.builds
