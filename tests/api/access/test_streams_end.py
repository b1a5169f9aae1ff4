"""A stream ends when the token that it was begun with does."""

import asyncio

import pytest
from ims_driver import Ims
from shop import Shop

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.sse.PERMIT_SECONDS", 0)
    monkeypatch.setattr("api.sse._RECHECK", 0.05)
    monkeypatch.setattr("api.jobs.log_stream._LOOK_AGAIN_SECONDS", 0.05)


@pytest.mark.parametrize("how", ["revoked", "expired"])
@pytest.mark.parametrize("what", ["events", "log"])
async def test_a_stream_ends_when_its_token_is_revoked_or_expires(ims: Ims, shop: Shop, what: str, how: str) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    job = (await agent.take("sync", "network"))["job_id"]
    path, topic = ("/v1/events/stream", "events") if what == "events" else (f"/v1/jobs/{job}/logs/stream", f"job:{job}")
    reader = await ims.ok("POST", "/v1/tokens", {"name": "reader", "role": "viewer", "expires_in": 3600})
    reading = asyncio.create_task(ims.send("GET", path, token=reader["secret"]))
    await ims.doorbell.somebody_listens(topic)
    assert not reading.done()
    if how == "revoked":
        await ims.ok("DELETE", "/v1/tokens/reader")
    else:
        ims.clock.forward(3601)
    answer = await asyncio.wait_for(reading, 60)
    assert answer.status_code == 200
    assert "event: end" not in answer.text
    await ims.refused(401, "GET", path, token=reader["secret"])
