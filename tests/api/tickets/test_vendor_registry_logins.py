"""Amazon ECR as the vendor's registry: a job's ticket buys one login, of a session that reaches one repository."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fake_vendor_ecr import ACCOUNT, ROLE, FakeVendorEcr
from ims_driver import running_ims
from opened import Opened
from pydantic import ValidationError
from registry_server import serve
from shop import Shop
from vendor_shop import VendorShop, access_of

from api.app import create_app
from api.registry.access import Access
from api.settings import Settings, UnusableDataError
from api.tickets.ecr import EcrLogins
from api.tickets.service import Place

pytestmark = pytest.mark.anyio

URL = f"https://{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
NETWORK = f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/shop/network"
PULL = "repository:shop/network:pull"
PUSH = "repository:shop/network:pull,push"
READING = {"BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer", "ListImageReferrers"}


@dataclass(frozen=True)
class Vendor(VendorShop):
    """A shop whose artifacts are in ECR."""

    ecr: FakeVendorEcr


@pytest.fixture
async def vendor(tmp_path: Path, opened_shop: tuple[Opened, Shop], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Vendor]:
    opened, before = opened_shop
    ecr = FakeVendorEcr()
    async with serve(ecr.app()) as endpoint:
        for name, value in {"ENDPOINT_URL": endpoint, "ACCESS_KEY_ID": "AKIAIMS", "SECRET_ACCESS_KEY": "s"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        settings = {"vendor_registry_url": URL, "vendor_registry_role_arn": ROLE}
        with opened.copied(tmp_path / "shop") as url:
            data = tmp_path / "shop"
            async with running_ims(data, token=before.ims.token, database_url=url, **settings) as ims:
                yield Vendor(replace(before, ims=ims, builder=replace(before.builder, ims=ims), agents={}), ecr)


async def test_a_pull_ticket_buys_one_login_that_reads_one_repository(vendor: Vendor) -> None:
    access = await vendor.pull()
    assert access["url"] == URL
    assert access["login_url"].endswith("/token/login")
    answer = await vendor.login(access, PULL)
    assert answer.json() == {"username": "AWS", "password": "password-0", "expires_in": 3600}
    assert answer.headers["cache-control"] == "no-store"
    (session,) = vendor.ecr.sessions
    assert session.actions_on(NETWORK) == {f"ecr:{action}" for action in READING}
    assert [each["Resource"] for each in session.policy["Statement"]] == ["*", NETWORK]
    assert session.actions_on("*") == {"ecr:GetAuthorizationToken"}
    assert session.name == f"exclave-{access['username']}"

    again = await vendor.login(access, PULL)
    assert (again.status_code, "works once" in again.text) == (401, True)
    (event,) = await vendor.ims.events("ticket.refused")
    assert "used already" in event["after"]["reason"]


async def test_versions_of_the_agent_stay_in_the_ims(vendor: Vendor) -> None:
    """`exclave agent publish` brings them there, and its tokens need no cloud."""
    assert vendor.ims.state.sources.updates == Place("http://ims.test")


@pytest.mark.service
async def test_of_two_that_redeem_a_ticket_at_once_one_gets_a_login(vendor: Vendor) -> None:
    access = await vendor.pull()
    answers = await asyncio.gather(*(vendor.login(access, PULL) for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [200, 401, 401, 401]


async def test_a_push_ticket_makes_the_repository_and_buys_logins_while_its_attempt_is_current(vendor: Vendor) -> None:
    access = await vendor.push()
    for _ in range(2):
        assert (await vendor.login(access, PUSH)).status_code == 200
    assert vendor.ecr.repositories == {"shop/network"}
    assert vendor.ecr.sessions[-1].allows("ecr:PutImage", NETWORK)
    assert not vendor.ecr.sessions[-1].allows("ecr:PutImage", NETWORK.replace("network", "service"))
    await vendor.ims.pass_time(100_000)
    assert (await vendor.login(access, PUSH)).status_code == 401


@pytest.mark.parametrize(
    ("scopes", "status"),
    [((PUSH,), 401), (("repository:shop/service:pull",), 401), ((), 400), ((PULL, "repository:a/b:pull"), 400)],
)
async def test_a_pull_ticket_buys_nothing_else(vendor: Vendor, scopes: tuple[str, ...], status: int) -> None:
    access = await vendor.pull()
    assert (await vendor.login(access, *scopes)).status_code == status
    assert (await vendor.login(access, PULL)).status_code in (200, 401)
    for session in vendor.ecr.sessions:
        assert session.actions_on(NETWORK) == {f"ecr:{action}" for action in READING}
    assert vendor.ecr.repositories == set()


async def test_who_has_no_ticket_makes_nobody_ask_aws(vendor: Vendor) -> None:
    access = await vendor.pull()
    for login in ({"password": "wrong"}, {"username": "token", "password": vendor.ims.token}, {"username": "AWS"}):
        assert (await vendor.login(access, PULL, **login)).status_code == 401
    assert vendor.ecr.sessions == []
    assert (await vendor.ims.http.get("/token/login")).status_code == 401


async def test_a_ticket_that_aws_gave_nothing_for_is_still_good(vendor: Vendor) -> None:
    access = await vendor.pull()
    vendor.ecr.down = True
    refused = await vendor.login(access, PULL)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (502, "UNAVAILABLE")
    assert "AccessDenied" in refused.text
    vendor.ecr.down = False
    assert (await vendor.login(access, PULL)).status_code == 200


async def test_no_login_is_in_the_history(vendor: Vendor) -> None:
    access = await vendor.pull()
    await vendor.login(access, PULL)
    history = (await vendor.ims.send("GET", "/v1/events", params={"limit": 1000})).text
    assert access["username"] in history
    assert "password-0" not in history


async def test_an_ims_with_a_registry_that_takes_tokens_has_no_logins(shop: Shop) -> None:
    await shop.install("acme")
    await shop.begin("acme")
    assert access_of(await shop.agents["acme"].take("sync", "network"))["login_url"] == ""
    assert (await shop.ims.http.get("/token/login")).status_code == 404


def test_an_ims_without_boto3_says_so_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    settings = Settings(tmp_path / "ims", "http://127.0.0.1:8420", vendor_registry_url=URL, vendor_registry_role_arn=ROLE)
    with pytest.raises(UnusableDataError, match=r"exclave\[aws\]"):
        create_app(settings)
    assert not (tmp_path / "ims").exists()


@pytest.mark.parametrize(
    ("url", "partition"),
    [
        (f"https://{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", "aws-cn"),
        (f"https://{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "aws-us-gov"),
        (f"https://{ACCOUNT}.dkr-ecr.us-east-1.on.aws/", "aws"),
    ],
)
def test_every_partition_of_aws_has_its_own_names(url: str, partition: str) -> None:
    policy = EcrLogins(url, ROLE).policy(Access("shop/network", frozenset({"pull"})))
    assert policy["Statement"][1]["Resource"].startswith(f"arn:{partition}:ecr:")


@pytest.mark.parametrize(
    "settings",
    [
        {"vendor_registry_url": URL},
        {"vendor_registry_role_arn": ROLE},
        {"vendor_registry_url": "https://registry.example.com", "vendor_registry_role_arn": ROLE},
        {"vendor_registry_url": URL, "vendor_registry_role_arn": "exclave-registry"},
        {
            "vendor_registry_url": URL,
            "vendor_registry_role_arn": ROLE,
            "vendor_registry_reader": "x-{app}@y.gserviceaccount.com",
        },
    ],
)
def test_a_registry_and_its_role_go_together(settings: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"vendor_registry_(role_arn|reader)"):
        Settings(tmp_path, "http://127.0.0.1:8420", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", [None, "https://registry.example.com"])
def test_there_is_no_front_before_a_registry_that_takes_the_imss_tokens(url: str | None, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="vendor_registry_front"):
        Settings(tmp_path, "http://127.0.0.1:8420", vendor_registry_url=url, vendor_registry_front=True)
