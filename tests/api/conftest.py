"""One IMS in the test's own process, with a clock that the test moves."""

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from ims_driver import Clock, Ims, running_ims
from opened import Opened
from postgresql import PostgresServer
from shop import Shop


def pytest_collection_finish() -> None:
    """Each test makes an app of many objects; Python needn't look for garbage in what was imported each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def opened_shop(tmp_path_factory: pytest.TempPathFactory, postgres_if_chosen: PostgresServer | None) -> tuple[Opened, Shop]:
    """A shop whose IMS has stopped."""

    async def build(data: Path) -> Shop:
        async with running_ims(data, _a_minute_before(), database_url=url) as server:
            return await Shop.open(server)

    url = postgres_if_chosen.new_database() if postgres_if_chosen else None
    data = tmp_path_factory.mktemp("shop") / "ims"
    return Opened(data, url, postgres_if_chosen), asyncio.run(build(data))


@pytest.fixture(scope="session")
def opened_ims(tmp_path_factory: pytest.TempPathFactory, postgres_if_chosen: PostgresServer | None) -> tuple[Opened, Ims]:
    """An IMS with nothing in it that has stopped."""

    async def build(data: Path) -> Ims:
        async with running_ims(data, _a_minute_before(), database_url=url) as server:
            return server

    url = postgres_if_chosen.new_database() if postgres_if_chosen else None
    data = tmp_path_factory.mktemp("ims") / "ims"
    return Opened(data, url, postgres_if_chosen), asyncio.run(build(data))


@pytest.fixture
async def fresh_ims(tmp_path: Path, opened_ims: tuple[Opened, Ims]) -> AsyncIterator[Ims]:
    """An IMS with nothing in it."""
    opened, before = opened_ims
    with opened.copied(tmp_path / "ims") as url:
        async with running_ims(tmp_path / "ims", token=before.token, database_url=url) as server:
            yield server


@pytest.fixture
async def shop(tmp_path: Path, opened_shop: tuple[Opened, Shop]) -> AsyncIterator[Shop]:
    """An IMS with the app `shop` (`network`, and `service` that uses it), a build agent and the release 1."""
    opened, before = opened_shop
    with opened.copied(tmp_path / "shop") as url:
        async with running_ims(tmp_path / "shop", token=before.ims.token, database_url=url) as server:
            yield replace(before, ims=server, builder=replace(before.builder, ims=server), agents={})


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
