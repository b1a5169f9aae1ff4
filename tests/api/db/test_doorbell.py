import asyncio

import pytest

from api.db.doorbell import Doorbell

pytestmark = pytest.mark.anyio


async def test_a_ring_between_reading_and_waiting_is_not_missed() -> None:
    bell = Doorbell()
    with bell.listen("a", "b") as listener:
        bell.ring(["b"])
        assert await listener.wait(60)
        bell.ring(["c"])
        assert not await listener.wait(0.001)
        assert not await listener.wait(0)


async def test_a_closed_doorbell_keeps_nobody_waiting() -> None:
    bell = Doorbell()
    with bell.listen("a") as listener:
        waiting = asyncio.create_task(listener.wait(60))
        await asyncio.sleep(0)
        bell.close()
        assert not await asyncio.wait_for(waiting, 30)
        assert not await listener.wait(60)
    with bell.listen("b") as late:
        assert not await late.wait(60)


async def test_a_cancellation_that_meets_a_ring_is_not_lost() -> None:
    # The sender of webhooks, rung for and cancelled at once, slept on, and the server's end waited for it without an end.
    bell = Doorbell()
    with bell.listen("a") as listener:
        waiting = asyncio.create_task(listener.wait(60))
        for _ in range(3):
            await asyncio.sleep(0)
        bell.ring(["a"])
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
