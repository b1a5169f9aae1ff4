"""What is left in memory of an IMS that has stopped."""

import gc
import weakref
from pathlib import Path

import pytest
from ims_driver import running_ims

pytestmark = pytest.mark.anyio


async def test_an_ims_that_has_stopped_is_forgotten_whole(tmp_path: Path) -> None:
    """FastAPI's caches keep each endpoint for good: one that closes over its app keeps the app, its database and all."""
    async with running_ims(tmp_path / "ims") as ims:
        await ims.ok("GET", "/v1")
        app, database = weakref.ref(ims.app), weakref.ref(ims.state.db)
    del ims
    gc.collect()
    assert app() is None
    assert database() is None
