"""Service tokens: role, scope, expiry, last use, revocation."""

import pytest
from ims_driver import Ims, fields
from shop import Shop

from api.tokens.secrets import is_whole, new_secret

pytestmark = pytest.mark.anyio


async def test_a_token_expires(ims: Ims) -> None:
    made = await ims.ok("POST", "/v1/tokens", {"name": "brief", "role": "viewer", "expires_in": 3600})
    assert made["expires_at"] == "2026-11-21T10:00:00Z"
    await ims.ok("GET", "/v1/apps", token=made["secret"])
    ims.clock.forward(3600)
    problem = await ims.refused(401, "GET", "/v1/apps", token=made["secret"])
    assert "brief" in problem["detail"]


async def test_a_last_use_is_noted_once_a_minute(ims: Ims) -> None:
    made = await ims.ok("POST", "/v1/tokens", {"name": "user", "role": "viewer"})

    async def last_used() -> str | None:
        return next(one for one in (await ims.ok("GET", "/v1/tokens"))["items"] if one["name"] == "user")["last_used_at"]

    assert await last_used() is None
    await ims.ok("GET", "/v1/apps", token=made["secret"])
    first = await last_used()
    for seconds, moved in [(59, False), (1, True)]:
        ims.clock.forward(seconds)
        await ims.ok("GET", "/v1/apps", token=made["secret"])
        assert (await last_used() != first) is moved


async def test_a_scope_must_name_something_that_exists(ims: Ims, shop: Shop) -> None:
    for scope in ("app:nope", "install:nope", "app:", "team:a", ""):
        problem = await ims.refused(422, "POST", "/v1/tokens", {"name": "x", "scope": scope})
        assert fields(problem) == ["scope"]
    made = await ims.ok("POST", "/v1/tokens", {"name": "x", "role": "viewer", "scope": "app:shop"})
    assert (made["scope"].startswith("app:app_"), made["scope_name"]) == (True, "shop")


async def test_a_role_that_is_none_is_refused(ims: Ims) -> None:
    assert fields(await ims.refused(422, "POST", "/v1/tokens", {"name": "x", "role": "root"})) == ["role"]


async def test_the_last_admin_token_that_lasts_stays(ims: Ims, shop: Shop) -> None:
    admin = (await ims.ok("GET", "/v1/tokens"))["items"][0]["id"]
    await ims.ok("POST", "/v1/tokens", {"name": "viewer", "role": "viewer"})
    await ims.ok("POST", "/v1/tokens", {"name": "narrow", "role": "admin", "scope": "app:shop"})
    await ims.ok("POST", "/v1/tokens", {"name": "brief", "role": "admin", "expires_in": 3600})
    await ims.refused(409, "DELETE", f"/v1/tokens/{admin}")
    other = await ims.ok("POST", "/v1/tokens", {"name": "other", "role": "admin"})
    await ims.ok("DELETE", f"/v1/tokens/{admin}", token=other["secret"])
    await ims.refused(409, "DELETE", "/v1/tokens/other", token=other["secret"])
    await ims.ok("DELETE", "/v1/tokens/viewer", token=other["secret"])


async def test_a_token_that_was_cut_short_is_told_from_one_that_is_not_known(ims: Ims) -> None:
    whole = new_secret("excl")
    assert is_whole(whole)
    assert not is_whole(whole[:-1])
    assert not is_whole(whole[:10] + ("a" if whole[10] != "a" else "b") + whole[11:])
    assert "isn't whole" in (await ims.refused(401, "GET", "/v1/apps", token=whole[:-1]))["detail"]
    assert "isn't known" in (await ims.refused(401, "GET", "/v1/apps", token=whole))["detail"]
