"""People log in with OpenID Connect; programs with the device flow.

The provider here is a fake: see `openid_provider.py`.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from ims_driver import Body, Ims
from joserfc.jwk import RSAKey
from openid_provider import FakeProvider, openid_provider
from pydantic import SecretStr
from sqlmodel import SQLModel

from api.settings import LoginRule, Oidc

pytestmark = pytest.mark.anyio

RULES = (LoginRule("groups", "ops", "deployer"), LoginRule("email", "ann@vendor.example", "viewer"))


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with openid_provider() as fake:
        yield fake


@pytest.fixture
def vendor(ims: Ims, provider: FakeProvider) -> Ims:
    """An IMS whose people log in with the provider."""
    provider.now = lambda: ims.clock().timestamp()
    oidc = Oidc(issuer=provider.url, client_id="exclave", client_secret=SecretStr("hush"), rules=RULES)
    ims.app.state.ims = replace(ims.state, settings=replace(ims.state.settings, oidc=oidc))
    return ims


async def log_in(ims: Ims, provider: FakeProvider, page: str = "") -> httpx.Response:
    """What a browser goes through; the answer to the callback."""
    begun = await ims.http.get("/login", params={"next": page} if page else {})
    assert begun.status_code == 303, begun.text
    return await ims.http.get(provider.authorize(begun.headers["location"]))


async def test_a_person_logs_in_and_is_what_the_first_rule_says(vendor: Ims, provider: FakeProvider) -> None:
    provider.claims["groups"] = ["dev", "ops"]
    answer = await log_in(vendor, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login/done")
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith("exclave-session="))
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "ann@vendor.example" in (await vendor.http.get("/login/done")).text
    who = (await vendor.http.get("/v1/whoami")).json()
    assert (who["name"], who["role"], who["scope"]) == ("person:ann@vendor.example", "deployer", "all")
    vendor.clock.forward(8 * 3600)
    assert (await vendor.http.get("/v1/whoami")).status_code == 401


async def test_whom_no_rule_fits_may_not_enter(vendor: Ims, provider: FakeProvider) -> None:
    for claims in ({"email": "eve@else.example"}, {"email_verified": False}, {"groups": "opsy"}):
        provider.claims = {"sub": "s1", "email": "ann@vendor.example", "email_verified": True, **claims}
        if "groups" in claims:
            provider.claims["email"] = "x@y"
        answer = await log_in(vendor, provider)
        assert (answer.status_code, "no rule of this IMS" in answer.text) == (403, True)
    assert (await vendor.http.get("/v1/whoami")).status_code == 401


@pytest.mark.parametrize(
    "change", [{"nonce": "other"}, {"aud": "another-client"}, {"iss": "https://else.example"}, {"exp": 1}, {"azp": "else"}]
)
async def test_an_id_token_that_is_not_for_this_login_is_refused(vendor: Ims, provider: FakeProvider, change: Body) -> None:
    provider.spoil = lambda claims: {**claims, **change}
    answer = await log_in(vendor, provider)
    assert (answer.status_code, "hold" in answer.text) == (401, True)


async def test_an_id_token_without_a_nonce_or_of_another_key_is_refused(vendor: Ims, provider: FakeProvider) -> None:
    provider.spoil = lambda claims: {name: value for name, value in claims.items() if name != "nonce"}
    assert (await log_in(vendor, provider)).status_code == 401
    provider.spoil = lambda claims: claims
    provider.signing_key = RSAKey.generate_key(2048, {"kid": "k1"})
    assert (await log_in(vendor, provider)).status_code == 401


async def test_a_login_belongs_to_the_browser_that_began_it_and_ends_after_ten_minutes(
    vendor: Ims, provider: FakeProvider
) -> None:
    back = provider.authorize((await vendor.http.get("/login")).headers["location"])
    assert (await vendor.http.get("/login/callback?code=code-1&state=guess")).status_code == 400
    vendor.clock.forward(601)
    assert (await vendor.http.get(back)).status_code == 400
    vendor.http.cookies.clear()
    assert (await vendor.http.get(back)).status_code == 400


async def test_a_login_never_sends_the_browser_elsewhere(vendor: Ims, provider: FakeProvider) -> None:
    for page in ("https://evil.example", "//evil.example", "/login/../../x", "/login/\\evil"):
        assert (await log_in(vendor, provider, page)).headers["location"] == "/login/done"


async def test_another_site_can_not_use_the_cookie(vendor: Ims, provider: FakeProvider) -> None:
    await log_in(vendor, provider)
    for headers in ({}, {"origin": "https://evil.example"}, {"origin": "null"}):
        assert (await vendor.http.delete("/v1/session", headers=headers)).status_code == 403
        assert (await vendor.http.post("/login/device", headers=headers)).status_code == 403
    assert (await vendor.http.delete("/v1/session", headers={"origin": "http://ims.test"})).status_code == 204
    assert (await vendor.http.get("/v1/whoami")).status_code == 401


async def test_over_https_the_cookie_is_bound_to_the_host(vendor: Ims, provider: FakeProvider) -> None:
    settings = replace(vendor.state.settings, public_url="https://ims.test")
    vendor.app.state.ims = replace(vendor.state, settings=settings)
    begun = await vendor.http.get("/login")
    cookie = begun.headers["set-cookie"]
    assert cookie.startswith("__Host-exclave-login=")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))


async def test_a_program_logs_in_once_a_person_confirms(vendor: Ims, provider: FakeProvider) -> None:
    begun = await vendor.ok("POST", "/v1/login/device", token=None)
    poll = {"device_code": begun["device_code"]}
    problem = await vendor.refused(400, "POST", "/v1/login/device/token", poll, token=None)
    assert problem["type"].endswith("authorization_pending")
    page = begun["verification_uri_complete"].removeprefix("http://ims.test")
    to_login = await vendor.http.get(page)
    assert to_login.headers["location"].startswith("/login?next=")
    begin = await vendor.http.get(to_login.headers["location"])
    back = await vendor.http.get(provider.authorize(begin.headers["location"]))
    assert back.headers["location"] == page
    shown = await vendor.http.get(page)
    assert begun["user_code"] in shown.text
    assert "ann@vendor.example" in shown.text
    assert "<script" not in shown.text
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    form = {"user_code": begun["user_code"].lower(), "answer": "confirm"}
    done = await vendor.http.post("/login/device", data=form, headers={"origin": "http://ims.test"})
    assert "logged in" in done.text
    assert (await vendor.http.post("/login/device", data=form, headers={"origin": "http://ims.test"})).status_code == 404
    vendor.http.cookies.clear()
    before = len(await vendor.events("session.opened"))
    got = await vendor.ok("POST", "/v1/login/device/token", poll, token=None)
    assert len(await vendor.events("session.opened")) == before + 1
    assert got["whoami"]["role"] == "viewer"
    await vendor.ok("GET", "/v1/apps", token=got["access_token"])
    await vendor.refused(403, "POST", "/v1/apps", {"name": "x"}, token=got["access_token"])
    await vendor.refused(401, "POST", "/v1/login/device/token", poll, token=None)
    await vendor.ok("DELETE", "/v1/session", token=got["access_token"])
    await vendor.refused(401, "GET", "/v1/apps", token=got["access_token"])
    tables = SQLModel.metadata.sorted_tables
    stored = await vendor.state.db.read(lambda tx: repr([tx.session.execute(table.select()).all() for table in tables]))
    for secret in (got["access_token"], begun["device_code"], begun["user_code"].replace("-", "")):
        assert secret not in stored


async def test_a_denied_or_forgotten_program_gets_nothing(vendor: Ims, provider: FakeProvider) -> None:
    await log_in(vendor, provider)
    denied, forgotten = [await vendor.ok("POST", "/v1/login/device", token=None) for _ in range(2)]
    form = {"user_code": denied["user_code"], "answer": "deny"}
    await vendor.http.post("/login/device", data=form, headers={"origin": "http://ims.test"})
    poll = {"device_code": denied["device_code"]}
    problem = await vendor.refused(400, "POST", "/v1/login/device/token", poll, token=None)
    assert problem["type"].endswith("access_denied")
    vendor.clock.forward(600)
    await vendor.refused(401, "POST", "/v1/login/device/token", {"device_code": forgotten["device_code"]}, token=None)


async def test_an_admin_ends_the_logins_of_a_person(vendor: Ims, provider: FakeProvider) -> None:
    await log_in(vendor, provider)
    (seen,) = (await vendor.ok("GET", "/v1/sessions"))["items"]
    assert (seen["name"], seen["role"], seen["scope"]) == ("ann@vendor.example", "viewer", "all")
    assert "secret" not in str(seen)
    assert (await vendor.http.get("/v1/sessions")).status_code == 403
    await vendor.ok("DELETE", f"/v1/sessions/{seen['name']}")
    assert (await vendor.http.get("/v1/whoami")).status_code == 401
    assert (await vendor.ok("GET", "/v1/sessions"))["items"] == []
    await vendor.refused(404, "DELETE", f"/v1/sessions/{seen['id']}")


async def test_without_a_provider_there_is_no_login(ims: Ims) -> None:
    problem = await ims.refused(404, "POST", "/v1/login/device", token=None)
    assert problem["type"].endswith("login_off")


async def test_a_provider_that_is_down_is_told_in_words(vendor: Ims, provider: FakeProvider) -> None:
    oidc = Oidc(issuer="http://127.0.0.1:9", client_id="exclave", rules=RULES)
    vendor.app.state.ims = replace(vendor.state, settings=replace(vendor.state.settings, oidc=oidc))
    answer = await vendor.http.get("/login")
    assert (answer.status_code, "no usable answer" in answer.text) == (502, True)
