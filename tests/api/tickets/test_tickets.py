"""Tickets: what a job's credential is good for at the registry's token endpoint, and what not."""

import base64
import json
from dataclasses import replace
from typing import Any

import httpx
import jwt
import pytest
from ims_driver import Agent, Body, Ims
from shop import SYNCED, Shop, built, module, sha

pytestmark = pytest.mark.anyio


async def redeem(ims: Ims, access: Body, *scopes: str, password: str | None = None) -> httpx.Response:
    basic = base64.b64encode(f"{access['username']}:{password or access['password']}".encode()).decode()
    return await ims.http.get("/token", params={"scope": scopes}, headers={"authorization": f"Basic {basic}"})


def granted(answer: httpx.Response) -> list[Body]:
    """The access in the token that came back."""
    assert answer.status_code == 200, answer.text
    claims: dict[str, Any] = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    return claims["access"]


async def refusal(ims: Ims) -> str:
    """Why the last ticket was refused, as the history has it."""
    (*_, event) = await ims.events("ticket.refused")
    return event["after"]["reason"]


@pytest.fixture
async def pull(shop: Shop) -> tuple[Agent, Body]:
    """The sync of `network`, leased."""
    agent = await shop.install("acme")
    await shop.begin("acme")
    return agent, await agent.take("sync", "network")


@pytest.fixture
async def push(shop: Shop) -> tuple[Agent, Body]:
    """A build of `network`, leased."""
    await shop.change("network", module({"domain": "x"}))
    await shop.ims.ok("POST", "/v1/releases", {"app_id": "shop"})
    return shop.builder, await shop.builder.take("build")


def access_of(job: tuple[Agent, Body]) -> Body:
    return job[1]["payload"]["registry"]


PULL = "repository:shop/network:pull"
PUSH = "repository:shop/network:pull,push"


async def put(ims: Ims, token: str, text: str) -> str:
    """Push a manifest with `text` as its only, inlined, config to `shop/network`; its digest."""
    http, repository, headers = ims.http, "/v2/shop/network", {"authorization": f"Bearer {token}"}
    upload = await http.post(f"{repository}/blobs/uploads/", headers=headers)
    await http.put(upload.headers["location"], params={"digest": sha(text)}, content=text.encode(), headers=headers)
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha(text), "size": len(text)}
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": []})
    headers["content-type"] = media_type
    answer = await http.put(f"{repository}/manifests/{sha(manifest)}", content=manifest.encode(), headers=headers)
    assert answer.status_code == 201, answer.text
    return sha(manifest)


async def test_a_pull_ticket_buys_one_token_for_its_repository_and_digest(
    ims: Ims, shop: Shop, push: tuple[Agent, Body]
) -> None:
    builder, build = push
    token = (await redeem(ims, access_of(push), PUSH)).json()["token"]
    wanted, other = await put(ims, token, "{}"), await put(ims, token, '{"other": 1}')
    result = built(build["payload"])
    await builder.succeed(build, {**result, "artifact": {**result["artifact"], "digest": wanted}})
    agent = await shop.install("acme")
    (release,) = (await ims.ok("GET", "/v1/releases", params={"number": 2}))["items"]
    await shop.begin("acme", release)
    lease = await agent.take("sync", "network")
    access = lease["payload"]["registry"]
    assert (access["url"], access["repository"], lease["payload"]["digest"]) == ("http://ims.test", "shop/network", wanted)

    answer = await redeem(ims, access, PULL)
    (scope,) = granted(answer)
    assert (scope["name"], scope["actions"]) == ("shop/network", ["pull"])
    assert (await ims.events("ticket.used"))[-1]["after"]["job"] == lease["job_id"]
    bearer = {"authorization": f"Bearer {answer.json()['token']}"}
    assert (await ims.http.get(f"/v2/shop/network/manifests/{wanted}", headers=bearer)).status_code == 200
    assert (await ims.http.get(f"/v2/shop/network/manifests/{other}", headers=bearer)).status_code in (401, 403, 404)
    assert (await ims.http.get("/v2/shop/service/tags/list", headers=bearer)).status_code in (401, 403)


async def test_a_ticket_used_twice_is_refused(ims: Ims, shop: Shop, pull: tuple[Agent, Body]) -> None:
    granted(await redeem(ims, access_of(pull), PULL))
    assert (await redeem(ims, access_of(pull), PULL)).status_code == 401
    assert "works once" in await refusal(ims)
    assert await ims.chain_is_whole()


@pytest.mark.parametrize(
    ("scopes", "reason"),
    [
        (("repository:shop/service:pull",), "repository shop/network only"),
        ((PULL, "repository:shop/service:pull"), "repository shop/network only"),
        ((PUSH,), "pulling only"),
        (("repository:shop/network:delete",), "pulling only"),
        (("repository:shop/network:*",), "pulling only"),
    ],
)
async def test_a_pull_ticket_used_for_anything_else_is_refused_and_still_good(
    ims: Ims, shop: Shop, pull: tuple[Agent, Body], scopes: tuple[str, ...], reason: str
) -> None:
    assert (await redeem(ims, access_of(pull), *scopes)).status_code == 401
    assert reason in await refusal(ims)
    granted(await redeem(ims, access_of(pull), PULL))


async def test_a_pull_ticket_is_good_for_a_minute(ims: Ims, shop: Shop, pull: tuple[Agent, Body]) -> None:
    ims.clock.forward(61)
    assert (await redeem(ims, access_of(pull), PULL)).status_code == 401
    assert "expired" in await refusal(ims)


async def test_whoever_holds_a_job_gets_another_ticket_for_the_same_thing(
    ims: Ims, shop: Shop, pull: tuple[Agent, Body], push: tuple[Agent, Body]
) -> None:
    """What the first one has bought ends after five minutes, and a transfer may last for hours."""
    agent, lease = pull
    granted(await redeem(ims, access_of(pull), PULL))
    ims.clock.forward(301)
    further = (await agent.further_ticket(lease)).json()
    assert {**further, "username": "", "password": ""} == {**access_of(pull), "username": "", "password": ""}
    assert further["password"] != access_of(pull)["password"]
    (scope,) = granted(await redeem(ims, further, PULL))
    assert (scope["name"], scope["actions"]) == ("shop/network", ["pull"])
    for access in (further, access_of(pull)):
        assert (await redeem(ims, access, PULL)).status_code == 401
        assert "works once" in await refusal(ims)
    issued = [event["after"] for event in await ims.events("ticket.issued") if event["after"]["job"] == lease["job_id"]]
    assert len(issued) == 2
    assert issued[0] == issued[1]

    assert (await agent.further_ticket(lease, attempt=lease["attempt"] + 1)).status_code == 409
    assert (await push[0].further_ticket(lease)).status_code == 409
    assert (await push[0].further_ticket(push[1])).status_code == 404
    assert (await agent.further_ticket({**lease, "job_id": "job_none"})).status_code == 404
    await agent.succeed(lease, SYNCED)
    assert (await agent.further_ticket(lease)).status_code == 409


async def test_a_ticket_ends_with_its_attempt(ims: Ims, shop: Shop, pull: tuple[Agent, Body], push: tuple[Agent, Body]) -> None:
    await pull[0].succeed(pull[1], SYNCED)
    await push[0].succeed(push[1], built(push[1]["payload"]))
    for access, scope in ((access_of(pull), PULL), (access_of(push), PUSH)):
        assert (await redeem(ims, access, scope)).status_code == 401
        assert "over" in await refusal(ims)


async def test_a_later_attempt_has_a_ticket_of_its_own(ims: Ims, shop: Shop, push: tuple[Agent, Body]) -> None:
    agent, lease = push
    await agent.fail(lease, retryable=True)
    ims.clock.forward(2)
    again = await agent.take("build")
    assert (await redeem(ims, access_of(push), PUSH)).status_code == 401
    granted(await redeem(ims, access_of((agent, again)), PUSH))


async def test_a_push_ticket_works_as_long_as_its_attempt_and_for_its_repository(
    ims: Ims, shop: Shop, push: tuple[Agent, Body]
) -> None:
    for _ in range(2):
        (scope,) = granted(await redeem(ims, access_of(push), PUSH))
        assert (scope["name"], sorted(scope["actions"])) == ("shop/network", ["pull", "push"])
        ims.clock.forward(100)
    assert (await redeem(ims, access_of(push), "repository:shop/service:push")).status_code == 401
    assert "shop/network only" in await refusal(ims)


async def test_a_login_ping_consumes_nothing(ims: Ims, shop: Shop, pull: tuple[Agent, Body]) -> None:
    assert granted(await redeem(ims, access_of(pull))) == []
    granted(await redeem(ims, access_of(pull), PULL))


async def test_an_unknown_ticket_or_a_wrong_password_buys_nothing(ims: Ims, shop: Shop, pull: tuple[Agent, Body]) -> None:
    assert (await redeem(ims, access_of(pull), PULL, password="exct_wrong")).status_code == 401
    assert (await redeem(ims, {"username": "tkt_nope", "password": "x"}, PULL)).status_code == 401
    assert (await redeem(ims, {"username": "admin", "password": ims.token}, PULL)).status_code == 401
    granted(await redeem(ims, access_of(pull), PULL))


async def test_the_history_has_no_ticket(ims: Ims, shop: Shop, pull: tuple[Agent, Body]) -> None:
    granted(await redeem(ims, access_of(pull), PULL))
    history = (await ims.send("GET", "/v1/events", params={"limit": 1000})).text
    assert access_of(pull)["username"] in history
    assert access_of(pull)["password"] not in history


async def test_jobs_are_sent_to_the_vendors_own_registry_if_there_is_one(ims: Ims, shop: Shop) -> None:
    """That docker-registry takes the tokens is in `tests/api/registry/test_registry_interop.py`."""
    settings = replace(ims.state.settings, vendor_registry_url="https://registry.example.com")
    assert ims.state.sources.pulls.url == settings.public_url
    theirs = replace(ims.state, settings=settings).sources
    assert {theirs.pushes.url, theirs.pulls.url, theirs.updates.url} == {"https://registry.example.com"}
    assert (settings.data / "registry-token.crt").read_text().startswith("-----BEGIN CERTIFICATE-----")


async def service_token(ims: Ims, role: str, scope: str = "all") -> Body:
    made = await ims.ok("POST", "/v1/tokens", {"name": f"{role}-{scope}".replace(":", "-"), "role": role, "scope": scope})
    return {"username": "token", "password": made["secret"]}


@pytest.mark.parametrize(("role", "scope"), [("viewer", "all"), ("editor", "app:shop")])
async def test_a_service_token_pulls_the_artifacts_of_its_scope_as_often_as_it_likes(
    ims: Ims, shop: Shop, role: str, scope: str
) -> None:
    login = await service_token(ims, role, scope)
    for _ in range(2):
        (access,) = granted(await redeem(ims, login, PUSH))
        assert (access["name"], access["actions"]) == ("shop/network", ["pull"])


async def test_a_service_token_reads_nothing_of_another_app(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/apps", {"name": "other"})
    login = await service_token(ims, "viewer", "app:other")
    assert granted(await redeem(ims, login, PULL)) == []
    assert granted(await redeem(ims, login, "repository:nobodys/app:pull")) == []


async def test_a_token_for_agents_or_none_at_all_pulls_nothing(ims: Ims, shop: Shop) -> None:
    login = await service_token(ims, "agent:build")
    assert (await redeem(ims, login, PULL)).status_code == 401
    assert (await redeem(ims, {"username": "token", "password": "wrong"}, PULL)).status_code == 401
