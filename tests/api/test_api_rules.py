"""What holds for every part of the API: tokens, versions, retries, rehearsals, pages, errors."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from ims_driver import Ims
from shop import Shop, module
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from api.app import ROUTERS
from api.body_limit import BodyLimit
from api.terraform_registry.routes import router as terraform_registry

pytestmark = pytest.mark.anyio

PUBLIC = {"/v1", "/v1/agent/enroll", "/v1/agent/session", "/v1/login/device", "/v1/login/device/token", "/healthz", "/readyz"}
PUBLIC |= {route.path for route in terraform_registry.routes if isinstance(route, APIRoute)}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/apps"): {"name": "a"},
    ("PUT", "/v1/apps/{app}"): {},
    ("POST", "/v1/apps/{app}/components"): {"name": "a", "config": module()},
    ("PUT", "/v1/apps/{app}/components/{component}"): {"config": module()},
    ("POST", "/v1/installs"): {"name": "a", "app_id": "a"},
    ("PUT", "/v1/installs/{install}"): {},
    ("POST", "/v1/releases"): {"app_id": "a"},
    ("POST", "/v1/deploys"): {"install_id": "a"},
    ("POST", "/v1/agents/enrollments"): {"kind": "build"},
    ("POST", "/v1/tokens"): {"name": "a"},
    ("POST", "/v1/agent/rotate-key"): {},
    ("POST", "/v1/secrets"): {"name": "a", "value": "b"},
    ("PUT", "/v1/secrets/{secret}"): {"value": "b"},
    ("POST", "/v1/jobs/prune-logs"): {"older_than_seconds": 0},
    ("POST", "/v1/webhooks"): {"name": "a", "url": "https://93.184.215.14/"},
    ("PUT", "/v1/webhooks/{webhook}"): {"url": "https://93.184.215.14/"},
    ("POST", "/v1/webhooks/{webhook}/rotate"): {},
    ("POST", "/v1/webhooks/{webhook}/replay"): {"after": 0},
    ("POST", "/v1/agent/lease"): {"wait_seconds": 0},
    ("POST", "/v1/agent/jobs/{job}/heartbeat"): {"attempt": 1},
    ("POST", "/v1/agent/jobs/{job}/finish"): {"attempt": 1, "outcome": "cancelled"},
}
ROUTES = sorted(
    (method, route.path)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in route.methods
    if route.path not in PUBLIC and route.include_in_schema
)


async def call(ims: Ims, method: str, path: str, token: str | None) -> int:
    where = path
    for part in ("app", "component", "install", "build", "release", "deploy", "agent", "job", "token", "webhook", "delivery"):
        where = where.replace(f"{{{part}}}", "x")
    params = {"attempt": 1, "offset": 0} if "{seq}" in path else {}
    answer = await ims.send(method, where.replace("{seq}", "0"), BODIES.get((method, path)), token=token, params=params)
    return answer.status_code


def test_the_walk_finds_the_routes() -> None:
    assert len(ROUTES) > 35


@pytest.mark.parametrize("secret", [None, "excl_wrong"])
async def test_no_route_answers_without_a_token(ims: Ims, secret: str | None) -> None:
    assert {route: await call(ims, *route, secret) for route in ROUTES} == dict.fromkeys(ROUTES, 401)
    assert ims.answers[0].headers["www-authenticate"] == "Bearer"


async def test_an_agent_may_not_do_what_people_do_nor_people_what_agents_do(ims: Ims, shop: Shop) -> None:
    for method, path in ROUTES:
        token = ims.token if path.startswith("/v1/agent/") else shop.builder.token
        assert await call(ims, method, path, token) == 401, (method, path)


async def test_the_server_says_what_it_is_without_a_token(ims: Ims) -> None:
    assert (await ims.ok("GET", "/v1", token=None))["name"] == "exclave"
    schema = await ims.ok("GET", "/openapi.json", token=None)
    assert schema["openapi"].startswith("3.1")
    assert set(schema["paths"]) == PUBLIC | {path for _, path in ROUTES}


async def test_a_revoked_token_ends_at_once_and_the_last_one_stays(ims: Ims) -> None:
    other = await ims.ok("POST", "/v1/tokens", {"name": "other"})
    assert "secret" not in (await ims.ok("GET", "/v1/tokens", token=other["secret"]))["items"][1]
    first = (await ims.ok("GET", "/v1/tokens"))["items"][0]["id"]
    await ims.ok("DELETE", f"/v1/tokens/{first}")
    await ims.refused(401, "GET", "/v1/tokens")
    await ims.refused(409, "DELETE", f"/v1/tokens/{other['id']}", token=other["secret"])
    assert [one["name"] for one in (await ims.ok("GET", "/v1/tokens", token=other["secret"]))["items"]] == ["admin", "other"]


async def test_a_token_name_that_is_taken_is_told(ims: Ims) -> None:
    problem = await ims.refused(409, "POST", "/v1/tokens", {"name": "admin"})
    assert problem["errors"][0]["field"] == "name"
    await ims.refused(404, "DELETE", "/v1/tokens/tok_nope")


async def test_an_update_of_an_older_version_is_refused(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})
    component = "/v1/apps/shop/components/network"
    for path, body in [("/v1/apps/shop", {"description": "x"}), (component, {"config": module()}), ("/v1/installs/acme", {})]:
        tag = (await ims.send("GET", path)).headers["etag"]
        assert tag == '"1"'
        for wrong, said in [
            ('"7"', "not 7"),
            ('"6", "7"', "not 7"),
            ("nonsense", "names no version"),
            ("", "names no version"),
        ]:
            problem = await ims.refused(412, "PUT", path, body, headers={"if-match": wrong})
            assert said in problem["detail"]
        for right in ("{}", "W/{}", "*", '"7", {}'):
            answer = await ims.send("PUT", path, body, headers={"if-match": right.format(tag)})
            assert answer.status_code == 200
            tag = answer.headers["etag"]


async def test_everything_with_a_version_is_changed_and_deleted_only_as_it_was_seen(ims: Ims) -> None:
    hook = {"url": "http://127.0.0.1:9/"}
    await ims.ok("POST", "/v1/apps", {"name": "other"})
    await ims.ok("POST", "/v1/apps/other/components", {"name": "part", "config": module()})
    await ims.ok("POST", "/v1/installs", {"app_id": "other", "name": "acme"})
    await ims.ok("POST", "/v1/secrets", {"name": "key", "value": "one"})
    await ims.ok("POST", "/v1/webhooks", {"name": "hook", **hook})
    changes: list[tuple[str, dict[str, Any]]] = [
        ("/v1/apps/other/components/part", {"config": module({"a": "b"})}),
        ("/v1/installs/acme", {"labels": {"a": "b"}}),
        ("/v1/secrets/key", {"value": "two"}),
        ("/v1/webhooks/hook", {**hook, "enabled": False}),
        ("/v1/apps/other", {"description": "b"}),
    ]
    for path, body in changes:
        seen = (await ims.send("GET", path)).headers["etag"]
        await ims.ok("PUT", path, body, headers={"if-match": seen})
        for lost in (seen, '"²"', '"' + "9" * 5000 + '"'):
            headers = {"if-match": lost.encode("latin-1")}
            await ims.refused(412, "PUT", path, body, headers=headers)
            await ims.refused(412, "DELETE", path, headers=headers)
        await ims.ok("DELETE", path, headers={"if-match": (await ims.send("GET", path)).headers["etag"]})


async def test_a_create_sent_twice_with_one_key_makes_one_object(ims: Ims, shop: Shop) -> None:
    key = {"idempotency-key": "k1"}
    body = {"name": "twice"}
    first = await ims.ok("POST", "/v1/apps", body, headers=key)
    assert await ims.ok("POST", "/v1/apps", body, headers=key) == first
    problem = await ims.refused(409, "POST", "/v1/apps", {"name": "else"}, headers=key)
    assert problem["type"] == "urn:exclave:problem:conflict"
    await ims.refused(409, "POST", "/v1/releases", {"app_id": "shop"}, headers=key)
    await ims.refused(409, "POST", "/v1/apps", body, headers={"idempotency-key": "k2"})
    await ims.ok("POST", "/v1/apps/shop/components", {"name": "c", "config": module()}, headers={"idempotency-key": "k3"})
    await ims.refused(
        409, "POST", "/v1/apps/twice/components", {"name": "c", "config": module()}, headers={"idempotency-key": "k3"}
    )


async def test_a_key_belongs_to_its_token(ims: Ims) -> None:
    other = (await ims.ok("POST", "/v1/tokens", {"name": "other"}))["secret"]
    await ims.ok("POST", "/v1/apps", {"name": "a"}, headers={"idempotency-key": "k"})
    await ims.ok("POST", "/v1/apps", {"name": "b"}, headers={"idempotency-key": "k"}, token=other)


async def test_a_key_of_a_refused_create_is_free_again(ims: Ims) -> None:
    key = {"idempotency-key": "k"}
    await ims.refused(422, "POST", "/v1/installs", {"name": "acme", "app_id": "later"}, headers=key)
    await ims.ok("POST", "/v1/apps", {"name": "later"})
    await ims.ok("POST", "/v1/installs", {"name": "acme", "app_id": "later"}, headers=key)


async def test_every_create_knows_its_key(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    for number, (path, body) in enumerate(
        [
            ("/v1/apps/shop/components", {"name": "extra", "config": module()}),
            ("/v1/installs", {"app_id": "shop", "name": "umbrella", "sensitive_inputs": {"password": "hush"}}),
            ("/v1/releases", {"app_id": "shop", "components": {"network": 1}}),
            ("/v1/deploys", {"install_id": "acme", "release_id": shop.release["id"]}),
        ]
    ):
        key = {"idempotency-key": f"k{number}"}
        first = await ims.ok("POST", path, body, headers=key)
        assert (await ims.ok("POST", path, body, headers=key))["id"] == first["id"]
    wrong = {"app_id": "shop", "name": "umbrella", "sensitive_inputs": {"password": "other"}}
    await ims.refused(409, "POST", "/v1/installs", wrong, headers={"idempotency-key": "k1"})


async def test_a_rehearsal_checks_everything_and_changes_nothing(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})

    async def everything() -> list[Any]:
        paths = ("/v1/apps", "/v1/apps/shop/components", "/v1/installs", "/v1/events?limit=1000")
        return [await ims.ok("GET", path) for path in paths]

    before = await everything()
    dry = {"params": {"dry_run": "true"}}
    component = {"config": module({"domain": "x"}, digest="9")}
    assert (await ims.ok("POST", "/v1/apps", {"name": "new"}, **dry))["name"] == "new"
    assert (await ims.ok("PUT", "/v1/apps/shop", {"description": "new"}, **dry))["version"] == 2
    assert (await ims.ok("POST", "/v1/apps/shop/components", {"name": "new", **component}, **dry))["version"] == 1
    assert (await ims.ok("PUT", "/v1/apps/shop/components/network", component, **dry))["version"] == 2
    assert (await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "new"}, **dry))["name"] == "new"
    assert (await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"size": 3}}, **dry))["inputs_version"] == 2
    await ims.refused(409, "POST", "/v1/apps", {"name": "shop"}, **dry)
    await ims.refused(422, "POST", "/v1/installs", {"app_id": "shop", "name": "x", "inputs": {"size": "big"}}, **dry)
    assert await everything() == before


async def test_a_collection_comes_in_pages(ims: Ims) -> None:
    for number in range(5):
        await ims.ok("POST", "/v1/apps", {"name": f"app-{number}"})
    names, after, pages = [], None, 0
    while pages == 0 or after:
        page = await ims.ok("GET", "/v1/apps", params={"limit": 2, **({"after": after} if after else {})})
        names += [app["name"] for app in page["items"]]
        after, pages = page["after"], pages + 1
    assert (names, pages) == ([f"app-{number}" for number in range(5)], 3)
    assert [one["name"] for one in (await ims.ok("GET", "/v1/apps", params={"name": "app-3"}))["items"]] == ["app-3"]
    for limit in (0, 1001, "many"):
        await ims.refused(422, "GET", "/v1/apps", params={"limit": limit})


async def test_components_and_events_come_in_pages_too(ims: Ims, shop: Shop) -> None:
    first = await ims.ok("GET", "/v1/apps/shop/components", params={"limit": 1})
    second = await ims.ok("GET", "/v1/apps/shop/components", params={"limit": 1, "after": first["after"]})
    assert [first["items"][0]["name"], second["items"][0]["name"], second["after"]] == ["network", "service", None]
    events = await ims.ok("GET", "/v1/events", params={"limit": 3})
    more = await ims.ok("GET", "/v1/events", params={"limit": 3, "after": events["after"]})
    assert [event["seq"] for event in events["items"] + more["items"]] == [1, 2, 3, 4, 5, 6]
    await ims.refused(422, "GET", "/v1/events", params={"after": "x"})


async def test_errors_are_problems_whatever_goes_wrong(ims: Ims) -> None:
    assert (await ims.refused(404, "GET", "/nope"))["type"] == "urn:exclave:problem:no_such_path"
    assert (await ims.refused(405, "PATCH", "/v1/apps"))["type"] == "urn:exclave:problem:method_not_allowed"
    broken = await ims.refused(422, "POST", "/v1/apps", headers={"content-type": "application/json"}, content=b"{nope")
    assert [error["field"] for error in broken["errors"]] == [""]
    assert "isn't JSON" in broken["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/apps", {"name": "a", "description": "\ud800"}),
        ("/v1/installs", {"name": "a", "app_id": "\ud800"}),
        ("/v1/agent/enroll", {"token": "\ud800", "public_key": "", "name": "a", "version": "", "platform": ""}),
    ],
)
async def test_text_that_is_no_unicode_is_refused(ims: Ims, path: str, body: dict[str, Any]) -> None:
    sent = {"content": json.dumps(body), "headers": {"content-type": "application/json"}}
    assert (await ims.refused(422, "POST", path, **sent))["type"] == "urn:exclave:problem:invalid"
    assert await ims.chain_is_whole()


async def test_an_error_does_not_repeat_what_was_sent(ims: Ims, shop: Shop) -> None:
    wrong = {"app_id": "shop", "name": "acme", "sensitive_inputs": {"password": ["canary"]}, "approval": "canary"}
    assert "canary" not in str(await ims.refused(422, "POST", "/v1/installs", wrong))


async def test_a_mistake_of_the_server_shows_no_trace(ims: Ims, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("canary in the stack")

    monkeypatch.setattr("api.apps.service.get", broken)
    problem = await ims.refused(500, "GET", "/v1/apps/shop")
    assert (problem["retryable"], "canary" in str(problem)) == (True, False)


async def test_agents_are_listed_without_their_keys(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme")
    listed = await ims.ok("GET", "/v1/agents", params={"install": "acme"})
    assert [one["id"] for one in listed["items"]] == [agent.id]
    assert not {"public_key", "vendor_key", "access_hash", "nonces"} & set(listed["items"][0])
    assert await ims.ok("GET", f"/v1/agents/{agent.id}") == listed["items"][0]
    await ims.refused(404, "GET", "/v1/agents/agt_nope")
    await ims.refused(404, "DELETE", "/v1/agents/agt_nope")


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 65536


async def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(ims: Ims, shop: Shop) -> None:
    large = b'{"name": "' + b"x" * 2**20 + b'"}'
    for content in (large, chunks(17)):
        problem = await ims.refused(413, "POST", "/v1/apps", content=content)
        assert problem["type"] == "urn:exclave:problem:content_too_large"
        assert "1048576 bytes" in problem["detail"]
        assert "body_limit" in problem["remedy"]
    await ims.refused(422, "POST", "/v1/apps", content=chunks(16))
    path = "/v1/agent/jobs/x/logs/0"
    params = {"attempt": 1, "offset": 0}
    await ims.refused(413, "PUT", path, content=chunks(3), params=params, token=shop.builder.token)


async def test_the_registry_takes_bodies_of_any_size(ims: Ims) -> None:
    answer = await ims.send("PUT", "/v2/shop/manifests/x", content=b" " * 2**21, token=None)
    assert answer.status_code == 401


@pytest.mark.parametrize("headers", [[(b"content-length", b"3000")], []], ids=["said", "counted"])
async def test_a_body_that_is_too_large_is_read_to_its_end_before_the_answer(headers: list[tuple[bytes, bytes]]) -> None:
    """Or the connection is reset under whoever still sends, and the answer is lost with it."""
    parts = [{"type": "http.request", "body": b"x" * 1000, "more_body": more} for more in (True, True, False)]
    left_when_answered = []

    async def receive() -> Message:
        return parts.pop(0)

    async def send(_: Message) -> None:
        left_when_answered.append(len(parts))

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        try:
            while (await receive())["more_body"]:
                continue
        except HTTPException as error:
            await send({"type": "http.response.start", "status": error.status_code})

    await BodyLimit(app, largest=1500)({"type": "http", "path": "/v1/apps", "headers": headers}, receive, send)
    assert left_when_answered[0] == 0


async def test_who_asks_before_sending_a_body_that_is_too_large_is_told_at_once() -> None:
    answers: list[Message] = []

    async def send(message: Message) -> None:
        answers.append(message)

    async def never() -> Message:
        raise AssertionError("the body is asked for")

    headers = [(b"content-length", b"3000"), (b"expect", b"100-continue")]
    scope = {"type": "http", "path": "/v1/apps", "headers": headers}
    await BodyLimit(never, largest=1500)(scope, never, send)  # type: ignore[arg-type]
    assert answers[0]["status"] == 413
