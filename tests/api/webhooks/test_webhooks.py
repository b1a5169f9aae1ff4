"""Webhooks: every event that is asked for arrives, signed, at least once, and again when it is asked for again."""

import base64
import functools
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ims_driver import Body, Ims, fields, running_ims
from shop import Shop
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from webhook_receiver import Receiver, receiving

from api import housekeeping
from api.webhooks import backoff
from api.webhooks import deliveries as work
from api.webhooks.post import Poster
from api.webhooks.sender import Sender

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


def sender(ims: Ims) -> Sender:
    found: Sender = ims.app.state.webhook_sender
    found._random = lambda: 0.5
    found.poster.post = functools.partial(Poster.post, found.poster, seconds=60)  # type: ignore[method-assign]
    return found


async def send(ims: Ims) -> None:
    """What the running server does by itself."""
    while await sender(ims).turn() == 0 or sender(ims)._busy:
        await sender(ims).idle()


async def hook(ims: Ims, receiver: Receiver, **more: Any) -> Body:
    return await ims.ok("POST", "/v1/webhooks", {"name": "hook", "url": receiver.url, "events": ["app.*"], **more})


async def apps(ims: Ims, *names: str) -> None:
    for name in names:
        await ims.ok("POST", "/v1/apps", {"name": name})


async def deliveries(ims: Ims, **params: str) -> list[Body]:
    return (await ims.ok("GET", "/v1/webhooks/hook/deliveries", params=params))["items"]


@pytest.mark.service
async def test_events_that_are_asked_for_arrive_in_order_and_no_others(ims: Ims, receiver: Receiver) -> None:
    await apps(ims, "before")
    await hook(ims, receiver)
    await apps(ims, *(f"app-{number}" for number in range(12)))
    await ims.ok("POST", "/v1/tokens", {"name": "other"})
    await send(ims)
    assert [one.message["data"]["after"]["name"] for one in receiver.got] == [f"app-{number}" for number in range(12)]
    event = (await ims.events("app.created"))[1]
    assert receiver.got[0].message == {"type": "app.created", "timestamp": event["at"], "data": event}
    assert {one["status"] for one in await deliveries(ims)} == {"succeeded"}
    await send(ims)
    assert len(receiver.got) == 12
    assert await ims.chain_is_whole()


async def test_a_receiver_verifies_with_the_standards_own_library(ims: Ims, receiver: Receiver, tmp_path: Path) -> None:
    ims.clock.now = datetime.now(UTC)  # that library looks at the real clock
    made = await hook(ims, receiver)
    assert made["secret"].startswith("whsec_")
    await apps(ims, "shop")
    await send(ims)
    (got,) = receiver.got
    assert Webhook(made["secret"]).verify(got.body, got.headers)["type"] == "app.created"
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(got.body + b" ", got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"another").decode()).verify(got.body, got.headers)


async def test_while_secrets_overlap_both_sign(ims: Ims, receiver: Receiver) -> None:
    ims.clock.now = datetime.now(UTC)
    old = await hook(ims, receiver)
    new = await ims.ok("POST", "/v1/webhooks/hook/rotate", {"overlap_seconds": 60})
    assert new["secret"] != old["secret"]
    await apps(ims, "one")
    await send(ims)
    for secret in (old["secret"], new["secret"]):
        Webhook(secret).verify(receiver.got[0].body, receiver.got[0].headers)
    ims.clock.forward(61)
    await apps(ims, "two")
    await send(ims)
    Webhook(new["secret"]).verify(receiver.got[1].body, receiver.got[1].headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old["secret"]).verify(receiver.got[1].body, receiver.got[1].headers)


async def test_the_secret_is_shown_once_and_does_not_rest_in_the_clear(ims: Ims, receiver: Receiver) -> None:
    made = await hook(ims, receiver)
    new = await ims.ok("POST", "/v1/webhooks/hook/rotate", {})
    shown = [await ims.ok("GET", path) for path in ("/v1/webhooks", "/v1/webhooks/hook", "/v1/events?limit=1000")]
    assert "whsec_" not in str(shown)
    kept = ims.stored()
    for secret in (made["secret"], new["secret"]):
        raw = base64.b64decode(secret.removeprefix("whsec_"))
        assert not any(form in kept for form in (secret.encode(), raw, raw.hex().encode(), raw.hex().upper().encode()))


async def test_a_delivery_that_fails_is_tried_again_later_with_the_same_id(ims: Ims, receiver: Receiver) -> None:
    await hook(ims, receiver)
    await apps(ims, "shop")
    receiver.status, receiver.text = 503, "busy " * 1000
    await send(ims)
    (one,) = await deliveries(ims)
    assert (one["status"], one["attempts"], one["response_status"]) == ("pending", 1, 503)
    assert (len(one["response_start"]), one["due_at"]) == (1024, "2026-11-21T09:00:05Z")
    await send(ims)
    assert len(receiver.got) == 1
    receiver.status, receiver.text = 200, "ok"
    ims.clock.forward(5)
    await send(ims)
    (one,) = await deliveries(ims)
    assert (one["status"], one["attempts"], one["error"], one["due_at"]) == ("succeeded", 2, "", None)
    assert {got.headers["webhook-id"] for got in receiver.got} == {one["id"]}
    assert receiver.got[0].headers["webhook-timestamp"] != receiver.got[1].headers["webhook-timestamp"]


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("90", "2026-11-21T09:01:30Z"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "2026-11-21T10:00:00Z"),
        ("Sat, 01 Jan 2000 00:00:00 GMT", "2026-11-21T09:00:05Z"),
        ("soon", "2026-11-21T09:00:05Z"),
    ],
)
async def test_a_receiver_may_ask_for_up_to_an_hour_more(ims: Ims, receiver: Receiver, asked: str, due: str) -> None:
    await hook(ims, receiver)
    await apps(ims, "shop")
    receiver.status, receiver.extra = 429, f"Retry-After: {asked}\r\n"
    await send(ims)
    assert (await deliveries(ims))[0]["due_at"] == due


async def test_a_delivery_is_given_up_and_a_receiver_that_is_dead_switches_its_webhook_off(
    ims: Ims, receiver: Receiver
) -> None:
    await hook(ims, receiver)
    await apps(ims, "shop")
    receiver.status = 500
    for seconds in (*backoff.STEPS, 0):
        await send(ims)
        ims.clock.forward(seconds)
    (one,) = await deliveries(ims, status="failed")
    assert (one["attempts"], one["due_at"]) == (10, None)
    assert (await ims.ok("GET", "/v1/webhooks/hook"))["enabled"]
    await apps(ims, "another")
    ims.clock.forward(3 * 86400)
    await send(ims)
    found = await ims.ok("GET", "/v1/webhooks/hook")
    assert (found["enabled"], "5 days" in found["disabled_because"]) == (False, True)
    (event,) = await ims.events("webhook.disabled")
    assert event["object_id"] == found["id"]
    await apps(ims, "meanwhile")
    body = {"url": receiver.url, "events": ["app.*"]}
    assert (await ims.ok("PUT", "/v1/webhooks/hook", body))["disabled_because"] is None
    receiver.status = 204
    await apps(ims, "later")
    await send(ims)
    assert "meanwhile" not in str([got.body for got in receiver.got])
    assert receiver.got[-1].message["data"]["after"]["name"] == "later"


async def test_gone_means_gone(ims: Ims, receiver: Receiver) -> None:
    await hook(ims, receiver)
    await apps(ims, "shop")
    receiver.status = 410
    await send(ims)
    assert "410" in (await ims.ok("GET", "/v1/webhooks/hook"))["disabled_because"]


async def test_a_redirect_is_not_followed(ims: Ims, receiver: Receiver) -> None:
    await hook(ims, receiver)
    await apps(ims, "shop")
    receiver.status, receiver.extra = 307, f"Location: http://127.0.0.1:{receiver.port}/elsewhere\r\n"
    await send(ims)
    assert [got.path for got in receiver.got] == ["/hook"]
    assert "redirect" in (await deliveries(ims))[0]["error"]


async def test_a_slow_receiver_holds_up_nobody_but_itself(ims: Ims, receiver: Receiver) -> None:
    async with receiving() as slow:
        slow.gate.clear()
        await hook(ims, slow, name="slow")
        await hook(ims, receiver)
        await apps(ims, "one", "two")
        await sender(ims).turn()
        await slow.wait_for(1)
        await receiver.wait_for(2)
        assert len(slow.got) == 1
        slow.gate.set()
        await send(ims)
        assert slow.types == ["app.created"] * 2


async def test_what_is_claimed_is_not_sent_by_another_replica_until_the_lease_has_run_out(ims: Ims, receiver: Receiver) -> None:
    await hook(ims, receiver)
    await apps(ims, "shop")
    db, vault = ims.state.db, ims.state.vault
    (webhook_id,), _ = await db.read(work.behind, {})
    await db.write("system", work.make, webhook_id)
    (first,) = await db.write("system", work.claim, vault, webhook_id)
    assert await db.write("system", work.claim, vault, webhook_id) == []
    ims.clock.forward(work.LEASE.total_seconds())  # the replica was killed
    (second,) = await db.write("system", work.claim, vault, webhook_id)
    assert first.delivery_id == second.delivery_id
    late = await db.write("system", work.settle, first, work.Answer(500, "", "no"), random=0.5)
    assert late is None
    assert (await deliveries(ims))[0]["attempts"] == 0


async def test_what_was_not_sent_when_the_server_ended_is_sent_by_the_next_one(
    tmp_path: Path, database_url: str | None, receiver: Receiver
) -> None:
    async with running_ims(tmp_path / "ims", database_url=database_url) as ims:
        await hook(ims, receiver)
        await apps(ims, "shop")
    async with running_ims(ims.data, ims.clock, ims.token, database_url=database_url) as again:
        await send(again)
    assert receiver.types == ["app.created"]


async def test_one_delivery_or_all_after_an_event_can_be_sent_again(ims: Ims, receiver: Receiver) -> None:
    await hook(ims, receiver)
    await apps(ims, "one", "two", "three")
    await send(ims)
    first, second, third = await deliveries(ims)
    await ims.ok("POST", f"/v1/webhooks/hook/deliveries/{second['id']}/replay")
    await send(ims)
    await ims.ok("POST", "/v1/webhooks/hook/replay", {"after": first["seq"]})
    await send(ims)
    sent = [got.headers["webhook-id"] for got in receiver.got[3:]]
    assert sent == [second["id"], second["id"], third["id"]]
    await ims.refused(404, "POST", "/v1/webhooks/hook/deliveries/msg_nope/replay")


async def test_a_replay_reaches_back_to_before_the_webhook_was_made(ims: Ims, receiver: Receiver) -> None:
    await apps(ims, "one", "two")
    await hook(ims, receiver)
    await ims.ok("POST", "/v1/webhooks/hook/replay", {"after": 0})
    await send(ims)
    assert [got.message["data"]["after"]["name"] for got in receiver.got] == ["one", "two"]


async def test_a_long_history_is_looked_through_in_windows(
    ims: Ims, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WINDOW": 4, "_MAKE_AT_ONCE": 2, "_CLAIM_AT_ONCE": 2}.items():
        monkeypatch.setattr(f"api.webhooks.deliveries.{name}", value)
    await hook(ims, receiver, events=["app.updated", "app.created"])
    for number in range(9):
        await ims.ok("POST", "/v1/tokens", {"name": f"t{number}"})
    await apps(ims, "a", "b", "c", "d", "e")
    await send(ims)
    assert [got.message["data"]["after"]["name"] for got in receiver.got] == ["a", "b", "c", "d", "e"]


async def test_a_test_says_at_once_what_came_of_it(ims: Ims, receiver: Receiver) -> None:
    await hook(ims, receiver, enabled=False)
    receiver.status, receiver.text = 418, "teapot"
    found = await ims.ok("POST", "/v1/webhooks/hook/test")
    assert (found["status"], found["response_status"], found["response_start"]) == ("failed", 418, "teapot")
    receiver.status = 204
    assert (await ims.ok("POST", "/v1/webhooks/hook/test"))["status"] == "succeeded"
    assert receiver.types == ["webhook.test"] * 2
    await ims.refused(404, "POST", "/v1/webhooks/nope/test")


async def test_nobody_there_is_an_answer_too(ims: Ims) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))  # nobody listens there
        url = f"http://127.0.0.1:{place.getsockname()[1]}/hook"
        await ims.ok("POST", "/v1/webhooks", {"name": "hook", "url": url})
        found = await ims.ok("POST", "/v1/webhooks/hook/test")
    assert (found["status"], found["response_status"], bool(found["error"])) == ("failed", None, True)


async def test_a_webhook_of_one_install_gets_its_events_only(ims: Ims, shop: Shop, receiver: Receiver) -> None:
    await shop.install("acme")
    await shop.install("umbrella")
    acme = await ims.ok("GET", "/v1/installs/acme")
    await hook(ims, receiver, events=["deploy.*"], install_id="acme")
    await shop.deploy("umbrella")
    await shop.deploy("acme")
    await send(ims)
    assert receiver.types == ["deploy.created", "deploy.succeeded"]
    assert {got.message["data"]["install_id"] for got in receiver.got} == {acme["id"]}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hooks.example.com/",
        "hooks.example.com",
        "https://",
        "https://user:pw@93.184.215.14/",
        "https://93.184.215.14/#part",
        "https://93.184.215.14/ü",
        "https://93.184.215.14:99999/",
        f"https://{'a' * 64}.example/",
        "https://hooks..example/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "http://93.184.215.14/",
    ],
)
async def test_a_bad_url_is_refused_with_field_and_remedy(ims: Ims, url: str) -> None:
    problem = await ims.refused(422, "POST", "/v1/webhooks", {"name": "hook", "url": url})
    assert fields(problem) == ["url"]
    assert problem["remedy"]
    assert await ims.events("webhook.created") == []


async def test_other_values_are_checked_too(ims: Ims, receiver: Receiver) -> None:
    body = {"name": "hook", "url": receiver.url, "events": ["deploy.*", "deploy.sucseeded", "zebra.*"]}
    problem = await ims.refused(422, "POST", "/v1/webhooks", body)
    assert [one["field"] for one in problem["errors"]] == ["events.1", "events.2"]
    assert "deploy.succeeded" in problem["errors"][0]["remedy"]
    for wrong in ({"events": []}, {"events": ["a*b"]}, {"name": "No"}):
        await ims.refused(422, "POST", "/v1/webhooks", {"name": "hook", "url": receiver.url, **wrong})
    problem = await ims.refused(422, "POST", "/v1/webhooks", {"name": "hook", "url": receiver.url, "install_id": "nobody"})
    assert fields(problem) == ["install_id"]
    await hook(ims, receiver)
    assert fields(await ims.refused(409, "POST", "/v1/webhooks", {"name": "hook", "url": receiver.url})) == ["name"]
    await ims.refused(412, "PUT", "/v1/webhooks/hook", {"url": receiver.url}, headers={"if-match": '"7"'})
    await ims.ok("PUT", "/v1/webhooks/hook", {"url": receiver.url, "enabled": False})
    await ims.refused(409, "POST", "/v1/webhooks/hook/replay", {"after": 0})
    await ims.ok("DELETE", "/v1/webhooks/hook")
    assert (await ims.ok("GET", "/v1/webhooks"))["items"] == []
    assert [len(await ims.events(f"webhook.{what}")) for what in ("created", "updated", "deleted")] == [1, 1, 1]


async def test_deliveries_that_ended_long_ago_are_forgotten(ims: Ims, receiver: Receiver) -> None:
    await hook(ims, receiver)
    await apps(ims, "old")
    await send(ims)
    ims.clock.forward(30 * 86400 + 1)
    await apps(ims, "new")
    await send(ims)
    db = ims.state.db
    assert [await db.write("system", work.forget, 30), await db.write("system", work.forget, 30)] == [True, False]
    assert len(await deliveries(ims)) == 1


async def test_one_pass_forgets_more_deliveries_than_fit_one_write(
    ims: Ims, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.webhooks.deliveries._FORGET_AT_ONCE", 1)
    await hook(ims, receiver)
    await apps(ims, "one", "two", "three")
    await send(ims)
    ims.clock.forward(30 * 86400 + 1)
    await housekeeping.prune(ims.state.db, ims.state.settings)
    assert await deliveries(ims) == []
