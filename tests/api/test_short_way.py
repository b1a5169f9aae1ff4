"""What is odd in a call that takes the short way (`agents.fast_path`) is answered as on the long one."""

import json
from collections.abc import AsyncIterator

import pytest
from ims_driver import Ims
from shop import Shop

from api.contract.agents import LOG_CHUNK_BYTES

pytestmark = pytest.mark.anyio


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * LOG_CHUNK_BYTES


async def test_a_number_or_a_text_without_a_place_and_a_body_that_is_too_large(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    lease = await agent.take("sync")
    json_type = {"content-type": "application/json"}
    beat, finish = f"/v1/agent/jobs/{lease['job_id']}/heartbeat", f"/v1/agent/jobs/{lease['job_id']}/finish"
    huge = json.dumps({"attempt": 2**70})
    for _ in range(2):
        assert (await ims.send("POST", beat, token=agent.token, headers=json_type, content=huge)).status_code in (409, 422)
        half = '{"attempt": 1, "outcome": "failed", "failure": {"code": "x", "message": "\\ud800"}}'
        assert (await ims.send("POST", finish, token=agent.token, headers=json_type, content=half)).status_code == 422
        held = {"wait_seconds": 0, "resume": {"job_id": "a\u0000", "attempt": 2**70}}
        assert (await ims.send("POST", "/v1/agent/lease", held, token=agent.token)).status_code in (204, 404, 422)
        await ims.refused(413, "POST", beat, token=agent.token, headers=json_type, content=chunks(20))
