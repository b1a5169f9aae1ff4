"""One IMS in the test's own process, with a clock that the test moves."""

import asyncio
import gc
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from ims_driver import Clock, Ims, running_ims
from shop import Shop


def pytest_collection_finish() -> None:
    """Each test makes an app of many objects; Python needn't look for garbage in what was imported each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def opened_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose IMS has stopped; its data folder is there to be copied."""

    async def build(data: Path) -> Shop:
        async with running_ims(data, _a_minute_before()) as server:
            return await Shop.open(server)

    return asyncio.run(build(tmp_path_factory.mktemp("shop") / "ims"))


@pytest.fixture(scope="session")
def opened_ims(tmp_path_factory: pytest.TempPathFactory) -> Ims:
    """An IMS with nothing in it that has stopped; its data folder is there to be copied."""

    async def build(data: Path) -> Ims:
        async with running_ims(data, _a_minute_before()) as server:
            return server

    return asyncio.run(build(tmp_path_factory.mktemp("ims") / "ims"))


@pytest.fixture
async def fresh_ims(tmp_path: Path, opened_ims: Ims) -> AsyncIterator[Ims]:
    """An IMS with nothing in it."""
    shutil.copytree(opened_ims.data, tmp_path / "ims")
    async with running_ims(tmp_path / "ims", token=opened_ims.token) as server:
        yield server


@pytest.fixture
async def shop(tmp_path: Path, opened_shop: Shop) -> AsyncIterator[Shop]:
    """An IMS with the app `shop` (`network`, and `service` that uses it), a build agent and the release 1."""
    shutil.copytree(opened_shop.ims.data, tmp_path / "shop")
    async with running_ims(tmp_path / "shop", token=opened_shop.ims.token) as server:
        yield replace(opened_shop, ims=server, builder=replace(opened_shop.builder, ims=server), agents={})


@pytest.fixture
def ims(request: pytest.FixtureRequest) -> Ims:
    """The shop's IMS if the test has a shop, else a fresh one."""
    if "shop" in request.fixturenames:
        shop: Shop = request.getfixturevalue("shop")
        return shop.ims
    fresh: Ims = request.getfixturevalue("fresh_ims")
    return fresh


def _a_minute_before() -> Clock:
    # Ids sort by time: whatever a test makes must be newer than what it was given.
    return Clock(Clock().now - timedelta(minutes=1))
