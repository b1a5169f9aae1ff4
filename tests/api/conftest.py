"""One IMS in the test's own process, with a clock that the test moves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ims_driver import Ims, running_ims
from shop import Shop


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def ims(tmp_path: Path) -> AsyncIterator[Ims]:
    """A fresh IMS."""
    async with running_ims(tmp_path / "ims") as server:
        yield server


@pytest.fixture
async def shop(ims: Ims) -> Shop:
    """A fresh IMS with the app `shop` (`network`, and `service` that uses it), a build agent and the release 1."""
    return await Shop.open(ims)
