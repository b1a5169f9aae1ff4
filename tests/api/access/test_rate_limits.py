"""Rate limits at the doors that take a secret from somebody who isn't signed in yet."""

import pytest
from ims_driver import Agent, Clock, Ims
from shop import Shop
from starlette.requests import Request

from api.contract.problems import RateLimitedError
from api.rate_limits import Limiter, client_address
from api.settings import Rate, RateLimits

pytestmark = pytest.mark.anyio


def request_from(address: str) -> Request:
    return Request({"type": "http", "client": (address, 1), "headers": []})


def admitted(limiter: Limiter, address: str, times: int = 1, **more: str) -> int:
    """How many of so many calls get in."""
    count = 0
    for _ in range(times):
        try:
            limiter.enter("login", request_from(address), **more)
            count += 1
        except RateLimitedError:
            pass
    return count


def test_a_bucket_is_used_up_and_fills_again() -> None:
    clock = Clock()
    limiter = Limiter(RateLimits(login=Rate(burst=3, per_minute=6)), clock)
    assert admitted(limiter, "10.0.0.1", 10) == 3
    assert admitted(limiter, "10.0.0.2", 10) == 3, "another address has a bucket of its own"
    with pytest.raises(RateLimitedError) as refused:
        limiter.enter("login", request_from("10.0.0.1"))
    assert refused.value.retry_after == 10
    clock.forward(10)
    assert admitted(limiter, "10.0.0.1", 10) == 1
    clock.forward(3600)
    assert admitted(limiter, "10.0.0.1", 10) == 3, "never more than the burst"


def test_the_memory_is_bounded_and_a_full_house_stays_closed() -> None:
    clock = Clock()
    limiter = Limiter(RateLimits(login=Rate(burst=1, per_minute=60)), clock, largest=100)
    assert sum(admitted(limiter, f"10.0.0.{last}") for last in range(200)) == 100
    assert len(limiter._buckets) == 100
    clock.forward(60)
    assert admitted(limiter, "10.0.0.199") == 1
    assert len(limiter._buckets) == 100


def test_an_ipv6_network_is_one_client() -> None:
    addresses = ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1", "::ffff:192.0.2.7", "192.0.2.7", "testclient")
    first, second, third, mapped, plain, other = [client_address(request_from(address)) for address in addresses]
    assert first == second != third
    assert (mapped, other) == (plain, "testclient")


async def test_the_enrolment_door_closes_and_says_when_to_come_back(ims: Ims, shop: Shop) -> None:
    body = Agent(ims, shop.builder.key).enrollment({"secret": "exce_wrong", "kind": "install"})
    for _ in range(30):
        answer = await ims.send("POST", "/v1/agent/enroll", body, token=None)
    assert answer.status_code == 429
    assert answer.json()["type"] == "urn:exclave:problem:rate_limited"
    assert answer.json()["retryable"]
    wait = int(answer.headers["retry-after"])
    assert wait == 3
    ims.clock.forward(wait)
    await ims.refused(401, "POST", "/v1/agent/enroll", body, token=None)


async def test_an_agent_that_signs_in_too_often_holds_up_no_other(ims: Ims, shop: Shop) -> None:
    other = await Agent.enrolled(ims)
    statuses = {(await ims.send("POST", "/v1/agent/session", shop.builder.signed(), token=None)).status_code for _ in range(30)}
    assert statuses == {200, 429}
    await other.sign_in()


async def test_the_registrys_token_door_closes_in_the_registrys_own_words(ims: Ims) -> None:
    limits = ims.state.settings.rate_limits.registry_token
    for _ in range(limits.burst):
        ims.state.limiter.enter("registry_token", request_from("127.0.0.1"))
    answer = await ims.send("GET", "/token", token=None, headers={"authorization": "Basic dTpw"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, "TOOMANYREQUESTS")
    assert int(answer.headers["retry-after"]) >= 1
