"""Google Artifact Registry as the vendor's registry: a ticket buys one token, of an account that has the app's repository."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fake_vendor_google import PROJECT, WRITER, FakeVendorGoogle, reader
from ims_driver import Body, running_ims
from opened import Opened
from pydantic import ValidationError
from registry_server import IMPATIENT, serve
from shop import Shop
from vendor_shop import VendorShop

from agent.oci.client import RegistryClient
from agent.oci.digest import digest_of
from agent.oci.errors import AccessRefusedError, RegistryError, TicketRefusedError
from agent.oci.job_registry import registry_of
from agent.oci.manifest import IMAGE_MANIFEST
from agent.oci.push import push_bytes
from agent.oci.token import Credential, LoginTicket
from api.app import create_app
from api.contract.agents import RegistryAccess
from api.registry.access import Access
from api.registry.app import create_registry
from api.registry.errors import VendorRegistryError
from api.registry.storage import RegistryStorage
from api.registry.tokens import TokenSigner
from api.registry.upstream import Upstream
from api.settings import Settings, UnusableDataError
from api.tickets import gar, vendor_registry

pytestmark = pytest.mark.anyio

HOST = "https://europe-west1-docker.pkg.dev"
SETTINGS: dict[str, Any] = {
    "vendor_registry_url": f"{HOST}/{PROJECT}",
    "vendor_registry_reader": reader("{app}"),
    "vendor_registry_writer": WRITER,
}
PULL = "repository:shop/network:pull"
PUSH = "repository:shop/network:pull,push"
BLOB = b"content"


@dataclass(frozen=True)
class Vendor(VendorShop):
    """A shop whose artifacts are in Google Artifact Registry; `registry` is where that really is."""

    google: FakeVendorGoogle
    registry: str

    def client(self, access: Body, http: httpx.AsyncClient) -> RegistryClient:
        """An agent's client for a job's registry."""
        assert access["url"] == HOST
        return registry_of(RegistryAccess.model_validate({**access, "url": self.registry}), http)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def front() -> bool:
    """Whether the IMS is a front before the registry; tests parametrise this."""
    return False


@pytest.fixture
async def vendor(
    tmp_path: Path, opened_shop: tuple[Opened, Shop], key: rsa.RSAPrivateKey, front: bool, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Vendor]:
    opened, before = opened_shop
    google = FakeVendorGoogle(key)
    signer = TokenSigner.open(tmp_path / "google.pem", issuer="google")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "own.json"))
    with RegistryStorage.open(tmp_path / "google") as storage, opened.copied(tmp_path / "shop") as database:
        registry = create_registry(storage, signer, google, service="docker.pkg.dev")
        async with serve(google.app()) as api, serve(registry) as url:
            google.write_key(tmp_path / "own.json", api)
            monkeypatch.setattr(gar, "IAM_CREDENTIALS", api)
            # Where the front goes: the address in the settings is Google's.
            monkeypatch.setattr(vendor_registry, "Upstream", lambda _, *more: Upstream(url, *more))
            settings = {**SETTINGS, "vendor_registry_front": front}
            async with running_ims(tmp_path / "shop", token=before.ims.token, database_url=database, **settings) as ims:
                yield Vendor(replace(before, ims=ims, builder=replace(before.builder, ims=ims), agents={}), google, url)


@pytest.fixture
async def http(vendor: Vendor) -> AsyncIterator[httpx.AsyncClient]:
    """What an agent calls the IMS and the registry with."""
    mounts = {"all://ims.test": httpx.ASGITransport(app=vendor.ims.app)}
    async with httpx.AsyncClient(mounts=mounts, trust_env=False) as client:
        yield client


async def test_a_build_pushes_and_an_install_pulls_with_tokens_of_their_own(vendor: Vendor, http: httpx.AsyncClient) -> None:
    push = await vendor.push()
    builder = vendor.client(push, http)
    builder.will_push("shop/network")
    await push_bytes(builder, "shop/network", BLOB)
    assert builder.name_of("shop/network").endswith(f"/{PROJECT}/shop/network")

    pull = await vendor.pull()
    install = vendor.client(pull, http)
    assert await install.read_blob("shop/network", digest_of(BLOB), len(BLOB)) == BLOB
    assert await install.has_blob("shop/network", digest_of(BLOB))

    wrote, read = vendor.google.tokens.values()
    assert (wrote.account, wrote.scopes) == (WRITER, ("https://www.googleapis.com/auth/cloud-platform",))
    assert (read.account, read.scopes) == (reader("shop"), ("https://www.googleapis.com/auth/devstorage.read_only",))
    assert {wrote.lifetime, read.lifetime} == {"3600s"}


async def test_what_a_pull_ticket_buys_reads_one_apps_repository_and_writes_nothing(
    vendor: Vendor, http: httpx.AsyncClient
) -> None:
    bought = (await vendor.login(await vendor.pull(), PULL)).json()
    assert (bought["username"], bought["expires_in"]) == ("oauth2accesstoken", 3600)
    credential = {"username": bought["username"], "password": bought["password"], "repository": ""}
    client = registry_of(RegistryAccess(url=vendor.registry, prefix=PROJECT, **credential), http)
    assert not await client.has_blob("shop/network", digest_of(BLOB))
    with pytest.raises(AccessRefusedError):
        await client.has_blob("other/network", digest_of(BLOB))
    client.will_push("shop/network")
    with pytest.raises(AccessRefusedError):
        await push_bytes(client, "shop/network", BLOB)


async def test_a_pull_ticket_buys_one_token(vendor: Vendor, http: httpx.AsyncClient) -> None:
    access = await vendor.pull()
    assert (await vendor.login(access, PULL)).headers["cache-control"] == "no-store"
    assert (await vendor.login(access, PULL)).status_code == 401
    with pytest.raises(TicketRefusedError, match="works once"):
        await vendor.client(access, http).has_blob("shop/network", digest_of(BLOB))
    (event,) = [each for each in await vendor.ims.events("ticket.refused") if "used already" in each["after"]["reason"]][:1]
    assert event["after"]["asked"] == []
    assert len(vendor.google.tokens) == 1


@pytest.mark.parametrize("scope", [PUSH, "repository:other/network:pull", f"repository:{PROJECT}/shop/network:pull"])
async def test_a_pull_ticket_buys_no_token_for_anything_else(vendor: Vendor, scope: str) -> None:
    access = await vendor.pull()
    assert (await vendor.login(access, scope)).status_code == 401
    assert all(each.account == reader("shop") for each in vendor.google.tokens.values())


async def test_a_ticket_that_google_gave_nothing_for_is_still_good(vendor: Vendor) -> None:
    access = await vendor.pull()
    vendor.google.down = True
    refused = await vendor.login(access, PULL)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (502, "UNAVAILABLE")
    assert reader("shop") in refused.text
    assert "own:" not in refused.text
    vendor.google.down = False
    assert (await vendor.login(access, PULL)).status_code == 200


async def test_an_app_that_google_has_no_repository_for_is_named(vendor: Vendor) -> None:
    logins = vendor_registry.logins_of(vendor.ims.state.settings)
    assert isinstance(logins, gar.GarLogins)
    with pytest.raises(VendorRegistryError, match="no repository 'my_shop'"):
        logins.login("tkt_1", Access("my_shop/network", frozenset({"pull"})))


async def test_no_token_is_in_the_history(vendor: Vendor) -> None:
    await vendor.login(await vendor.pull(), PULL)
    history = (await vendor.ims.send("GET", "/v1/events", params={"limit": 1000})).text
    assert "ticket.used" in history
    assert "ya29" not in history


async def test_a_token_of_the_registry_that_ends_is_renewed_without_another_ticket(
    vendor: Vendor, http: httpx.AsyncClient
) -> None:
    """The registry's own tokens hold five minutes here, the login an hour; the ticket works once."""
    access = RegistryAccess.model_validate({**await vendor.pull(), "url": vendor.registry})
    now = 0.0
    ticket = LoginTicket(access.login_url, Credential(access.username, access.password))
    client = RegistryClient(vendor.registry, ticket, http, retry=IMPATIENT, clock=lambda: now, prefix=access.prefix)
    for now in (0.0, 400.0, 3500.0):  # noqa: B007 - the clock reads it
        assert not await client.has_blob("shop/network", digest_of(BLOB))
    assert len(vendor.google.tokens) == 1
    now = 4000.0
    with pytest.raises(RegistryError, match="works once"):
        await client.has_blob("shop/network", digest_of(BLOB))


@pytest.mark.parametrize("front", [True])
async def test_with_a_front_an_install_pulls_through_the_ims_and_gets_no_token_of_google(
    vendor: Vendor, http: httpx.AsyncClient
) -> None:
    builder = vendor.client(await vendor.push(), http)
    builder.will_push("shop/network")
    await push_bytes(builder, "shop/network", BLOB)
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(BLOB), "size": len(BLOB)}
    content = json.dumps({"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": config, "layers": []}).encode()
    await builder.put_manifest("shop/network", digest_of(content), content, IMAGE_MANIFEST)

    access = await vendor.pull()
    assert (access["url"], access["prefix"], access["login_url"]) == ("http://ims.test", "", "")
    refused = await vendor.login(access, PULL)
    assert (refused.status_code, "through the IMS" in refused.text) == (401, True)
    assert len(vendor.google.tokens) == 1

    install = registry_of(RegistryAccess.model_validate(access), http)
    with pytest.raises(AccessRefusedError):  # the release's artifact is another one, which nobody has pushed here
        await install.get_manifest("shop/network", digest_of(content))
    with pytest.raises(TicketRefusedError, match="works once"):
        await registry_of(RegistryAccess.model_validate(access), http).has_blob("shop/network", digest_of(BLOB))
    _, read = vendor.google.tokens.values()
    assert read.account == reader("shop")

    made = await vendor.ims.ok("POST", "/v1/tokens", {"name": "reader", "role": "viewer", "scope": "all"})
    person = RegistryClient("http://ims.test", Credential("token", made["secret"]), http)
    assert (await person.get_manifest("shop/network", digest_of(content))).data == content
    assert await person.read_blob("shop/network", digest_of(BLOB), len(BLOB)) == BLOB


def test_an_ims_without_google_auth_says_so_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor_registry, "_has_google_auth", lambda: False)
    with pytest.raises(UnusableDataError, match=r"exclave\[gcp\]"):
        create_app(Settings(tmp_path / "ims", "http://127.0.0.1:8420", **SETTINGS))
    assert not (tmp_path / "ims").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"vendor_registry_reader": ""},
        {"vendor_registry_writer": ""},
        {"vendor_registry_reader": f"exclave@{PROJECT}.iam.gserviceaccount.com"},
        {"vendor_registry_reader": "exclave-{app}"},
        {"vendor_registry_url": HOST},
        {"vendor_registry_url": f"{HOST}/{PROJECT}/repository"},
        {"vendor_registry_url": "https://registry.example.com"},
    ],
)
def test_a_project_its_reader_and_its_writer_go_together(change: dict[str, str], tmp_path: Path) -> None:
    """A reader without the app's name in it would read the artifacts of every app."""
    with pytest.raises(ValidationError, match=r"vendor_registry_(reader|writer)"):
        Settings(tmp_path, "http://127.0.0.1:8420", **{**SETTINGS, **change})


def test_a_project_may_belong_to_an_organisation(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "http://ims", **{**SETTINGS, "vendor_registry_url": f"{HOST}/example.com/shop"})
    assert vendor_registry.address(settings) == (HOST, "example.com/shop")
