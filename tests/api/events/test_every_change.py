"""Every operation that changes something is in the history: a walk over the OpenAPI document's, each with a real call."""

import base64
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from as_documented import document
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ims_driver import Agent, Body, Ims
from shop import PLAN_DIGEST, SYNCED, Shop, module, usual
from signed_release import sign

from api.contract.actions import ACTIONS, NAMES
from api.contract.enrollment import rotate_key_message
from api.db.transaction import Write
from api.deploys import planner
from api.events import service as events
from api.events.filters import EventFilter
from api.logins import service as logins
from api.logins.service import Person
from api.openapi.document import operations
from api.webhooks.models import DeliveryRow

pytestmark = pytest.mark.anyio

NO_EVENT = {
    "check_new_app": "reads",
    "check_app": "reads",
    "preview_deploy": "reads",
    "sign_in": "an agent does it every quarter of an hour; what is refused is an event",
    "heartbeat": "every 15 s; a lost and found agent is an event",
    "put_log": "a log is its own history",
    "begin_device": "nobody is logged in yet: the answer to it is an event",
    "poll_device": "needs a provider of logins: see test_oidc_login",
    "send_test": "makes no change: a delivery that is no event's",
}
"""Operations that aren't GET and leave no line, and why."""


BY_THE_CLOCK = ("agent.online", "agent.offline")
"""What an operation may happen to bring about, on a machine that is slow."""


@dataclass(frozen=True)
class Watched(Ims):
    """An IMS whose driver notes which operation has left a line in the history."""

    left_a_line: set[str] = None  # type: ignore[assignment]

    async def send(
        self, method: str, path: str, body: Any = None, *, token: str | None = "admin", **more: Any
    ) -> httpx.Response:
        await planner.plan_all(self.state.db, self.state.vault)  # or the server does it just now, and leaves a line of its own
        before = await self.state.db.read(events.head)
        answer = await super().send(method, path, body, token=token, **more)
        lines = await self.state.db.read(events.read, EventFilter(), after=before, limit=100)
        if answer.is_success and any(line.actor != "system" and line.action not in BY_THE_CLOCK for line in lines):
            self.left_a_line.add(self.operation(method, path))
        return answer

    def operation(self, method: str, path: str) -> str:
        """The name of the operation behind a path; the most literal one, if several fit."""
        known = [
            (pattern.count("{"), name["operationId"])
            for verb, pattern, name in operations(document(self.app))
            if verb == method and re.fullmatch(re.sub(r"{[a-z]+}", "[^/]+", pattern), path.partition("?")[0])
        ]
        return min(known)[1]


@pytest.fixture
async def watched(shop: Shop) -> Shop:
    fields = {name: getattr(shop.ims, name) for name in ("app", "http", "clock", "doorbell", "token", "data", "answers")}
    ims = Watched(**fields, left_a_line=set())
    return replace(shop, ims=ims, builder=replace(shop.builder, ims=ims))


def test_the_reference_has_every_action() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "events.md").read_text()
    table = text.partition("## Actions")[2].partition("A filter")[0]
    said = set[str]()
    for row in table.splitlines():
        if row.startswith("| `"):
            objects, happened = (re.findall("`([a-z_]+)`", cell) for cell in row.split("|")[1:3])
            for of in objects:
                said |= {f"{of}.{what}" for what in happened if what in ACTIONS[of]}
    assert said == NAMES


def test_what_the_code_emits_is_known() -> None:
    code = Path(__file__).parents[3] / "api"
    emitted = {name for file in code.rglob("*.py") for name in re.findall(r'emit\(\s*"([a-z_.]+)"', file.read_text())}
    assert len(emitted) > 40
    assert emitted <= NAMES


@pytest.mark.service
async def test_every_operation_that_changes_something_leaves_a_line(watched: Shop) -> None:
    shop, ims = watched, watched.ims
    assert isinstance(ims, Watched)
    await definitions(shop)
    await builds(shop)
    await deploys(shop)
    await approvals(shop)
    await agents(shop)
    await access(ims)
    await secrets_and_webhooks(ims)
    changing = {one["operationId"] for method, _, one in operations(document(ims.app)) if method != "GET"}
    actions = {line["action"] for line in (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"]}
    assert actions <= NAMES
    assert NO_EVENT.keys() <= changing
    assert changing - NO_EVENT.keys() - ims.left_a_line == set()
    assert NO_EVENT.keys() & ims.left_a_line == set()


async def definitions(shop: Shop) -> None:
    ims = shop.ims
    await ims.ok("POST", "/v1/apps", {"name": "other"})
    await ims.ok("PUT", "/v1/apps/other", {"description": "changed"})
    await ims.ok("POST", "/v1/apps/other/components", {"name": "one", "config": module()})
    await ims.ok("PUT", "/v1/apps/other/components/one", {"config": module(digest="2")})
    await ims.ok("DELETE", "/v1/apps/other/components/one")
    await ims.ok("POST", "/v1/installs", {"app_id": "other", "name": "depot"})
    await ims.ok("PUT", "/v1/installs/depot", {"labels": {"tier": "gold"}})
    await ims.ok("DELETE", "/v1/installs/depot")
    await ims.ok("DELETE", "/v1/apps/other")
    for path, body in [("/v1/apps/check", {}), ("/v1/apps/shop/check", {})]:
        await ims.ok("POST", path, body)
    await ims.ok("POST", "/v1/deploys/preview", {"app_id": "shop"})


async def builds(shop: Shop) -> None:
    ims = shop.ims
    await sign(ims, shop.release)
    await shop.change("network", module({"domain": "other"}, digest="2"))
    release = await ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    await ims.ok("POST", f"/v1/builds/{release['builds'][0]['build_id']}/cancel")
    await ims.ok("DELETE", f"/v1/releases/{release['id']}")


async def deploys(shop: Shop) -> None:
    ims = shop.ims
    agent = await shop.install("acme")
    first = await shop.begin("acme")
    network, service = await agent.take("sync", "network"), await agent.take("sync", "service")
    await agent.heartbeat(network)
    await agent.further_ticket(network)
    await agent.log(network, "text\n")
    await agent.fail(network)
    await ims.ok("POST", await at_step(shop, first, "network", "sync", "retry"))
    await ims.ok("POST", await at_step(shop, first, "network", "plan", "skip"), {})
    await agent.succeed(service, SYNCED)
    await ims.ok("POST", f"/v1/deploys/{first['id']}/cancel") if not (await shop.look(first))["ended_at"] else None
    await agent.work(usual)
    again = await ims.ok("POST", f"/v1/deploys/{first['id']}/retry")
    await agent.work(usual)
    assert (await shop.look(again))["status"] == "succeeded"
    await ims.ok("POST", "/v1/installs/acme/rollback", {"release_id": shop.release["id"]})
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "batch"})
    await ims.ok("POST", "/v1/deploys/batch", {"release_id": shop.release["id"], "installs": ["batch"]})
    drift = await ims.ok("POST", "/v1/installs/acme/drift")
    await ims.ok("POST", f"/v1/deploys/{drift['id']}/cancel")
    ims.clock.forward(7200)
    await ims.ok("POST", "/v1/jobs/prune-logs", {"older_than_seconds": 3600})
    await agent.sign_in()


async def approvals(shop: Shop) -> None:
    ims = shop.ims
    await shop.builder.sign_in()
    for name, approval in (("yes", "vendor"), ("no", "vendor"), ("customer", "customer")):
        agent = await shop.install(name, approval=approval)
        deploy = await shop.begin(name)
        await agent.work(usual)
        where = await at_step(shop, deploy, "network", "approve", "approve" if name == "yes" else "reject")
        if approval == "vendor":
            await ims.ok("POST", where, {"plan_digest": PLAN_DIGEST})
        else:
            path = where.replace("/v1/", "/v1/agent/").replace("/reject", "/approval")
            body = {"decision": "approved", "plan_digest": PLAN_DIGEST}
            assert (await ims.send("POST", path, body, token=agent.token)).is_success


async def at_step(shop: Shop, deploy: Body, component: str, kind: str, verb: str) -> str:
    steps = (await shop.look(deploy))["steps"]
    step = next(step["id"] for step in steps if (step["component"], step["kind"]) == (component, kind))
    return f"/v1/deploys/{deploy['id']}/steps/{step}/{verb}"


async def agents(shop: Shop) -> None:
    ims = shop.ims
    offer = {"version": "0.2.0", "digest": "sha256:" + "a" * 64}
    await ims.ok("POST", f"/v1/agents/{shop.agents['acme'].id}/updates", offer)
    token = await ims.ok("POST", "/v1/agents/enrollments", {"kind": "build"})
    await ims.ok("DELETE", f"/v1/agents/enrollments/{token['id']}")
    agent = await Agent.enrolled(ims)
    key, at, nonce = Ed25519PrivateKey.generate(), int(ims.clock().timestamp()), "nonce-of-a-rotation"
    public = agent_key(key)
    message = rotate_key_message(agent.id, public, at, nonce)
    signatures = {"old_signature": signed(agent.key, message), "new_signature": signed(key, message)}
    body = {"public_key": public, "timestamp": at, "nonce": nonce, **signatures}
    await ims.ok("POST", "/v1/agent/rotate-key", body, token=agent.token)
    await ims.ok("DELETE", f"/v1/agents/{agent.id}")
    await ims.ok("POST", "/v1/agent/disconnect", token=(await Agent.enrolled(ims)).token)


def agent_key(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def signed(key: Ed25519PrivateKey, message: bytes) -> str:
    return base64.b64encode(key.sign(message)).decode()


async def access(ims: Ims) -> None:
    await ims.ok("POST", "/v1/tokens", {"name": "ci"})
    await ims.ok("DELETE", "/v1/tokens/ci")
    db, ann = ims.state.db, Person("s1", "ann@vendor.example", "admin", "all")
    session, secret = await db.write("person:ann", logins.open_session, ann, seconds=3600)
    await ims.ok("DELETE", "/v1/session", token=secret)
    session, _ = await db.write("person:ann", logins.open_session, ann, seconds=3600)
    await ims.ok("DELETE", f"/v1/sessions/{session.id}")


async def secrets_and_webhooks(ims: Ims) -> None:
    await ims.ok("POST", "/v1/secrets", {"name": "key", "value": "v"})
    await ims.ok("PUT", "/v1/secrets/key", {"value": "changed"})
    await ims.ok("POST", "/v1/secrets/rotation")
    while not (await ims.ok("POST", "/v1/secrets/rotation/steps"))["done"]:
        pass
    await ims.ok("DELETE", "/v1/secrets/key")
    hook = {"url": "https://93.184.215.14/"}
    made = await ims.ok("POST", "/v1/webhooks", {"name": "hook", **hook})
    await ims.ok("PUT", "/v1/webhooks/hook", {**hook, "description": "changed"})
    await ims.ok("POST", "/v1/webhooks/hook/rotate", {})
    await ims.ok("POST", "/v1/webhooks/hook/replay", {"after": 0})
    await ims.ok("POST", "/v1/webhooks/hook/test")

    def deliver(tx: Write) -> None:
        row = DeliveryRow(id="msg_1", webhook_id=made["id"], seq=1, action="app.created", status="failed", created_at=tx.now)
        tx.session.add(row)

    await ims.state.db.write("system", deliver)
    await ims.ok("POST", "/v1/webhooks/hook/deliveries/msg_1/replay")
    await ims.ok("DELETE", "/v1/webhooks/hook")
    await ims.ok("POST", "/v1/registry/collections")
