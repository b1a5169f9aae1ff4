"""All routes, with all roles, on foreign objects: derived from the app's own table of routes."""

from collections.abc import Iterator
from typing import Any

import pytest
from as_documented import document
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from ims_driver import Body, Ims
from opened import Opened
from shop import PLAN_DIGEST, Shop, module
from stocked_shop import StockedShop, stocked

from api import access
from api.access import Needs
from api.apps import service as apps
from api.contract.access import PERMISSIONS
from api.contract.problems import ConflictError
from api.contract.resources import App, AppCreate
from api.db.idempotency import once
from api.db.scope import EVERYTHING, Scope
from api.db.transaction import Write

pytestmark = pytest.mark.anyio

PUBLIC = {
    ("GET", "/v1"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("POST", "/v1/agent/enroll"),
    ("POST", "/v1/agent/session"),
    ("POST", "/v1/login/device"),
    ("POST", "/v1/login/device/token"),
    ("GET", "/login"),
    ("GET", "/login/callback"),
    ("GET", "/login/done"),
    ("GET", "/login/device"),
    ("POST", "/login/device"),
    ("GET", "/.well-known/terraform.json"),
    ("GET", "/terraform/providers/v1/{namespace}/{name}/versions"),
    ("GET", "/terraform/providers/v1/{namespace}/{name}/{version}/download/{os}/{arch}"),
    ("GET", "/terraform/providers/v1/{namespace}/{name}/{version}/SHA256SUMS"),
    ("GET", "/terraform/providers/v1/{namespace}/{name}/{version}/SHA256SUMS.sig"),
    ("GET", "/terraform/modules/v1/{namespace}/{name}/{system}/versions"),
    ("GET", "/terraform/modules/v1/{namespace}/{name}/{system}/{version}/download"),
    ("GET", "/terraform/mirror/{host}/{namespace}/{name}/index.json"),
    ("GET", "/terraform/mirror/{host}/{namespace}/{name}/{version}.json"),
    ("GET", "/terraform/files/{file}"),
}
"""Routes that need no token; each has a proof of its own, or nothing to hide."""

BY_SETTING = {("GET", "/metrics")}
"""Public if the settings say so; else it needs what its own test says."""

BY_QUERY: dict[tuple[str, str], dict[str, str]] = {("GET", "/v1/events/stream"): {"install": "{install}"}}
"""A stream doesn't end, unless what is asked for isn't there."""

BODIES: dict[tuple[str, str], Body] = {
    ("POST", "/v1/apps"): {"name": "new"},
    ("PUT", "/v1/apps/{app}"): {"description": "changed"},
    ("POST", "/v1/apps/check"): {},
    ("POST", "/v1/apps/{app}/check"): {},
    ("POST", "/v1/deploys/preview"): {"install_id": "{install}", "release_id": "{release}"},
    ("POST", "/v1/apps/{app}/components"): {"name": "new", "config": module()},
    ("PUT", "/v1/apps/{app}/components/{component}"): {"config": module(digest="2")},
    ("POST", "/v1/installs"): {"name": "new", "app_id": "{app}"},
    ("PUT", "/v1/installs/{install}"): {"inputs": {"size": 7}},
    ("POST", "/v1/releases"): {"app_id": "{app}"},
    ("PUT", "/v1/releases/{release}/signature"): {"envelope": "{}", "public_key": "none"},
    ("POST", "/v1/deploys/batch"): {"release_id": "{release}", "installs": ["{install}"]},
    ("POST", "/v1/deploys"): {"install_id": "{install}", "kind": "teardown"},
    ("POST", "/v1/agents/enrollments"): {"kind": "install", "install_id": "{install}"},
    ("POST", "/v1/agents/{agent}/updates"): {"version": "0.2.0", "digest": PLAN_DIGEST},
    ("POST", "/v1/tokens"): {"name": "new"},
    ("POST", "/v1/secrets"): {"name": "new", "value": "v", "install_id": "{install}"},
    ("PUT", "/v1/secrets/{secret}"): {"value": "changed"},
    ("POST", "/v1/webhooks"): {"name": "new", "url": "https://93.184.215.14/", "install_id": "{install}"},
    ("PUT", "/v1/webhooks/{webhook}"): {"url": "https://93.184.215.14/changed"},
    ("POST", "/v1/webhooks/{webhook}/rotate"): {},
    ("POST", "/v1/webhooks/{webhook}/replay"): {"after": 0},
    ("POST", "/v1/jobs/prune-logs"): {"older_than_seconds": 3600},
    ("POST", "/v1/deploys/{deploy}/steps/{step}/approve"): {"plan_digest": PLAN_DIGEST},
    ("POST", "/v1/deploys/{deploy}/steps/{step}/reject"): {"plan_digest": PLAN_DIGEST},
    ("POST", "/v1/deploys/{deploy}/steps/{step}/skip"): {},
    ("POST", "/v1/installs/{install}/rollback"): {},
    ("POST", "/v1/agent/rotate-key"): {},
    ("POST", "/v1/agent/lease"): {"wait_seconds": 0},
    ("POST", "/v1/agent/deploys/{deploy}/steps/{step}/approval"): {"decision": "approved", "plan_digest": PLAN_DIGEST},
    ("POST", "/v1/agent/jobs/{job}/heartbeat"): {"attempt": 1},
    ("POST", "/v1/agent/jobs/{job}/ticket"): {"attempt": 1},
    ("POST", "/v1/agent/jobs/{job}/finish"): {"attempt": 1, "outcome": "cancelled"},
}
ROLES = ("viewer", "editor", "deployer", "admin", "agent:build", "agent:install")
Route = tuple[str, str]


def needs_of(dependant: Dependant) -> Iterator[Any]:
    """What a route declares: `Needs`, or the agents' dependency."""
    for dependency in dependant.dependencies:
        if isinstance(dependency.call, Needs) or dependency.call in (access.agent, access.agent_session):
            yield dependency.call
        yield from needs_of(dependency)


@pytest.fixture
def declared(ims: Ims) -> dict[Route, list[Any]]:
    """Every route of the IMS, with its declarations. Not the registry's, which has a guard and tests of its own."""
    found: dict[Route, list[Any]] = {}
    for context in iter_route_contexts(ims.app.routes):
        if isinstance(context.original_route, APIRoute):
            for method in context.methods or ():
                found[(method, context.path or "")] = list(dict.fromkeys(needs_of(context.dependant)))
    return found


@pytest.fixture
def needs(declared: dict[Route, list[Any]]) -> dict[Route, Needs]:
    """The routes for people and programs."""
    return {route: found[0] for route, found in declared.items() if found and isinstance(found[0], Needs)}


async def test_every_route_declares_what_it_needs(declared: dict[Route, list[Any]]) -> None:
    assert len(declared) > 40
    assert {route for route, found in declared.items() if not found} == PUBLIC | BY_SETTING
    assert not {route for route, found in declared.items() if len(found) > 1}


async def test_the_openapi_document_says_what_each_route_needs(ims: Ims, needs: dict[Route, Needs]) -> None:
    paths = document(ims.app)["paths"]
    for (method, path), need in needs.items():
        (requirement,) = paths[path][method.lower()]["security"]
        (scopes,) = requirement.values()
        wanted = [need.permission] + ([f"scope:{need.reach}"] if need.reach != "install" else [])
        assert scopes == wanted, (method, path)


async def call(ims: Ims, route: Route, token: str, objects: dict[str, str]) -> tuple[int, str]:
    """The status and the text of an answer."""

    def filled(text: str) -> str:
        for name, value in objects.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    method, path = route
    body = BODIES.get(route)
    sent = None if body is None else {key: filled(value) if isinstance(value, str) else value for key, value in body.items()}
    params = {"attempt": 1, "offset": 0} if "{seq}" in path else {}
    params |= {key: filled(value) for key, value in BY_QUERY.get(route, {}).items()}
    answer = await ims.send(method, filled(path), sent, token=token, params=params)
    return answer.status_code, answer.text


OBJECTS = (
    "app",
    "component",
    "install",
    "build",
    "release",
    "deploy",
    "step",
    "agent",
    "job",
    "token",
    "enrollment",
    "secret",
    "webhook",
    "session",
)
NOWHERE = dict.fromkeys((*OBJECTS, "delivery"), "x") | {"seq": "0"}


async def made(ims: Ims, name: str, role: str, scope: str = "all") -> str:
    """A token's secret."""
    return (await ims.ok("POST", "/v1/tokens", {"name": name, "role": role, "scope": scope}))["secret"]


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_do_what_the_table_says_and_nothing_else(
    ims: Ims, declared: dict[Route, list[Any]], role: str
) -> None:
    token = await made(ims, "a-" + role.replace(":", "-"), role)
    for route, found in declared.items():
        if route in PUBLIC | BY_SETTING:
            continue
        status, text = await call(ims, route, token, NOWHERE)
        if not isinstance(found[0], Needs):
            assert status == 401, route
        elif (role, route) == ("agent:build", ("POST", "/v1/agents/enrollments")):
            assert status == 403, "its body asks for an agent of the other kind"
        elif role in PERMISSIONS[found[0].permission]:
            assert status not in (401, 403), (route, text)
        else:
            assert status == 403, (route, text)
            assert "urn:exclave:problem:forbidden" in text
            assert all(role in text.split("remedy")[1] for role in PERMISSIONS[found[0].permission]), (
                "the remedy names the roles"
            )


@pytest.fixture(scope="module")
def opened_shop(
    opened_shop: tuple[Opened, Shop], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Opened, StockedShop]]:
    """The shops of these tests are stocked."""
    with stocked(*opened_shop, tmp_path_factory.mktemp("stocked") / "ims") as made:
        yield made


@pytest.fixture
def foreign(shop: StockedShop) -> dict[str, str]:
    """The shop's objects, by what stands for them in the paths of routes."""
    return shop.objects


@pytest.mark.parametrize("scope", ["app:warehouse", "install:depot"])
async def test_an_object_of_another_app_does_not_exist(
    ims: Ims, foreign: dict[str, str], needs: dict[Route, Needs], scope: str
) -> None:
    token = await made(ims, "stranger", "admin", scope)
    before = (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"]
    reaches = ("install", "app") if scope.startswith("app:") else ("install",)
    for route, need in needs.items():
        status, text = await call(ims, route, token, foreign)
        if need.reach not in reaches:
            assert (status, "forbidden" in text) == (403, True), (route, text)
        elif "{" in route[1] or route in BY_QUERY:
            assert (status, "not_found" in text) == (404, True), (route, text)
        elif route == ("DELETE", "/v1/session"):
            assert status == 204, "a token is no login: nothing happens"
        elif route in BODIES:
            assert status in (404, 422), (route, text)
        else:
            assert status == 200, (route, text)
            shown = [value for name, value in foreign.items() if name not in ("seq", "component") and value in text]
            assert not shown, (route, text)
    assert (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"] == before, "something was changed"


NEIGHBOURS = ("install", "deploy", "job", "agent", "secret", "webhook", "delivery")


async def test_the_scope_of_an_install_shows_its_app_but_not_the_other_installs(
    ims: Ims, foreign: dict[str, str], needs: dict[Route, Needs]
) -> None:
    token = await made(ims, "neighbour", "admin", "install:initech")
    shared = {"/v1/apps", "/v1/builds", "/v1/releases"}
    for route, need in needs.items():
        status, text = await call(ims, route, token, foreign)
        prefix = "/".join(route[1].split("/")[:3])
        if need.reach != "install":
            assert status == 403, (route, text)
        elif prefix in shared:
            assert status == 200, (route, text)
        elif "{" in route[1] or route in BY_QUERY:
            assert (status, "not_found" in text) == (404, True), (route, text)
        elif route == ("DELETE", "/v1/session"):
            assert status == 204
        elif route[0] == "GET":
            assert status == 200
            assert not [foreign[name] for name in NEIGHBOURS if foreign[name] in text], route
        else:
            assert status in (404, 422), (route, text)


async def test_the_log_of_a_build_is_not_for_the_scope_of_an_install(ims: Ims, foreign: dict[str, str]) -> None:
    jobs = (await ims.ok("GET", "/v1/jobs"))["items"]
    build = next(job["id"] for job in jobs if job["kind"] == "build")
    of_app, of_install = await made(ims, "a", "viewer", "app:shop"), await made(ims, "b", "viewer", "install:acme")
    assert (await ims.send("GET", f"/v1/jobs/{build}", token=of_app)).status_code == 200
    await ims.refused(404, "GET", f"/v1/jobs/{build}", token=of_install)
    await ims.refused(404, "GET", f"/v1/jobs/{build}/logs", token=of_install)


async def test_within_its_scope_a_token_does_what_its_role_allows(ims: Ims, shop: Shop, foreign: dict[str, str]) -> None:
    deployer = await made(ims, "ci", "deployer", "app:shop")
    assert [app["name"] for app in (await ims.ok("GET", "/v1/apps", token=deployer))["items"]] == ["shop"]
    await ims.ok("PUT", "/v1/installs/acme", {"inputs": {"size": 3}}, token=deployer)
    body = {"install_id": "acme", "kind": "teardown"}
    deploy = await ims.ok("POST", "/v1/deploys", body, token=deployer)
    await ims.ok("POST", f"/v1/deploys/{deploy['id']}/cancel", token=deployer)
    (line,) = await ims.events("deploy.cancel_requested")
    assert line["actor"] == "token:ci"
    of_install = await made(ims, "of-install", "admin", "install:acme")
    assert len((await ims.ok("GET", "/v1/agents", token=of_install))["items"]) == 1
    await ims.ok("DELETE", f"/v1/agents/{foreign['agent']}", token=of_install)
    await ims.ok("POST", "/v1/agents/enrollments", {"kind": "install", "install_id": "acme"}, token=of_install)
    await ims.refused(403, "POST", "/v1/agents/enrollments", {"kind": "build"}, token=of_install)
    await ims.refused(404, "GET", f"/v1/agents/{shop.builder.id}", token=of_install)


async def test_metrics_are_for_whoever_may_read_everything(ims: Ims, shop: Shop) -> None:
    assert (await ims.send("GET", "/metrics", token=await made(ims, "a", "viewer"))).status_code == 200
    assert (await ims.send("GET", "/metrics", token=await made(ims, "b", "admin", "app:shop"))).status_code == 403
    assert (await ims.send("GET", "/metrics", token=None)).status_code == 401


async def test_force_takes_an_admin(ims: Ims, foreign: dict[str, str]) -> None:
    deployer = await made(ims, "deployer", "deployer")
    for method, path in [
        ("DELETE", "/v1/apps/warehouse"),
        ("DELETE", "/v1/installs/acme"),
        ("DELETE", f"/v1/releases/{foreign['release']}"),
        ("POST", f"/v1/deploys/{foreign['deploy']}/cancel"),
    ]:
        await ims.refused(403, method, path, token=deployer, params={"force": True})
    await ims.ok(
        "DELETE", "/v1/installs/acme", token=await made(ims, "of-acme", "admin", "install:acme"), params={"force": True}
    )


async def test_a_scoped_reader_sees_the_history_of_its_scope(ims: Ims, foreign: dict[str, str]) -> None:
    everything = (await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"]
    for scope in ("app:shop", "install:acme", "install:depot"):
        token = await made(ims, scope.replace(":", "-"), "viewer", scope)
        seen = (await ims.ok("GET", "/v1/events", token=token, params={"limit": 1000}))["items"]
        kind, _, name = scope.partition(":")
        wanted = (await ims.ok("GET", "/v1/events", params={"limit": 1000, kind: name}))["items"]
        assert seen == wanted
        assert 0 < len(seen) < len(everything)
        exported = (await ims.send("GET", "/v1/events/export", token=token)).text.splitlines()
        assert len(exported) == len(seen)
        await ims.refused(403, "GET", "/v1/events/verify", token=token)
        answer = await ims.send("GET", "/v1/events", token=token, params={"object_id": foreign["token"]})
        assert answer.json()["items"] == [], "what belongs to no app is for the scope of everything"


async def test_the_history_of_a_scope_has_its_secrets_and_its_agents_keys(ims: Ims, foreign: dict[str, str]) -> None:
    await ims.ok("POST", "/v1/secrets", {"name": "whole", "value": "v", "app_id": "shop"})
    of_install = await made(ims, "b", "viewer", "install:acme")
    of_app = await made(ims, "a", "viewer", "app:shop")
    of_other = await made(ims, "c", "viewer", "app:warehouse")
    seen = []
    for token in (of_install, of_app, of_other):
        answer = await ims.ok("GET", "/v1/events", token=token, params={"action": "secret.*"})
        seen.append([event["after"]["name"] for event in answer["items"]])
    assert seen == [["key"], ["key", "whole"], []]


async def test_the_answer_to_a_key_is_not_for_a_login_with_another_scope(ims: Ims, foreign: dict[str, str]) -> None:
    body = AppCreate(name="mine")

    def make(tx: Write, scope: Scope) -> App:
        tx.scope = scope
        return once(tx, "key", body, App, lambda: apps.create(tx, body))

    made_once = await ims.state.db.write("person:ada", make, EVERYTHING)
    assert await ims.state.db.write("person:ada", make, EVERYTHING) == made_once
    with pytest.raises(ConflictError, match="another request"):
        await ims.state.db.write("person:ada", make, Scope(app_id=foreign["app"]))


async def test_nothing_is_made_that_is_wider_than_the_scope(ims: Ims, foreign: dict[str, str]) -> None:
    of_app, of_install = await made(ims, "a", "admin", "app:shop"), await made(ims, "b", "admin", "install:acme")
    url = "https://93.184.215.14/"
    for token, wide in ((of_app, {}), (of_install, {}), (of_install, {"app_id": "shop"})):
        await ims.refused(403, "POST", "/v1/secrets", {"name": "wide", "value": "v", **wide}, token=token)
        await ims.refused(403, "POST", "/v1/webhooks", {"name": "wide", "url": url, **wide}, token=token)
    await ims.refused(403, "PUT", "/v1/webhooks/hook", {"url": url}, token=of_install)
    for name, token, narrow in (("of-app", of_app, {"app_id": "shop"}), ("of-install", of_install, {"install_id": "acme"})):
        await ims.ok("POST", "/v1/secrets", {"name": name, "value": "v", **narrow}, token=token)
        await ims.ok("POST", "/v1/webhooks", {"name": name, "url": url, "enabled": False, **narrow}, token=token)
    for kind in ("secrets", "webhooks"):
        names = {one["name"] for one in (await ims.ok("GET", f"/v1/{kind}", token=of_install))["items"]}
        assert names == {"of-install", "key" if kind == "secrets" else "hook"}
        names = {one["name"] for one in (await ims.ok("GET", f"/v1/{kind}", token=of_app))["items"]}
        assert names == {"of-app", "of-install", "key" if kind == "secrets" else "hook"}
