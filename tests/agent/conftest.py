import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from emulated_s3 import s3_endpoint, s3_place
from registry_server import RegistryServer, built_in_registry, debian_registry

__all__ = ["s3_endpoint", "s3_place"]  # fixtures


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
async def vendor(tmp_path: Path, http: httpx.AsyncClient) -> AsyncIterator[RegistryServer]:
    """The vendor's registry: the built-in one."""
    async with built_in_registry(_folder(tmp_path / "vendor"), http) as server:
        yield server


@pytest.fixture
async def customer(tmp_path: Path, http: httpx.AsyncClient) -> AsyncIterator[RegistryServer]:
    """The customer's registry: the built-in one."""
    async with built_in_registry(_folder(tmp_path / "customer"), http) as server:
        yield server


@pytest.fixture
async def debian(tmp_path: Path, http: httpx.AsyncClient) -> AsyncIterator[RegistryServer]:
    """Debian's docker-registry, which has no referrers API."""
    async with _debian(tmp_path, http) as server:
        yield server


@pytest.fixture(params=["built-in", pytest.param("docker-registry", marks=pytest.mark.service)])
async def target(request: pytest.FixtureRequest, tmp_path: Path, http: httpx.AsyncClient) -> AsyncIterator[RegistryServer]:
    """A registry to copy to: each kind in turn."""
    make = (
        _debian(tmp_path, http) if request.param == "docker-registry" else built_in_registry(_folder(tmp_path / "target"), http)
    )
    async with make as server:
        yield server


def _debian(folder: Path, http: httpx.AsyncClient) -> AbstractAsyncContextManager[RegistryServer]:
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed (apt-get install docker-registry)")
    return debian_registry(_folder(folder / "debian"), http)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
