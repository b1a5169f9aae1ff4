"""`release-signed`, for what is carried by hand: a bundle brings the signed release, and the customer's rule holds for it."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from made_bundles import config_of, opened, release, silent
from pydantic import ValidationError
from registry_server import RegistryServer

from agent.airgap.bundle import BadBundleError, BundledArtifact, BundledRelease, check, create
from agent.airgap.cli import bundle_command
from agent.identity import Home
from agent.ledger.ledger import Ledger
from agent.ledger.verify import entries
from agent.oci.signature import SignatureError
from agent.oci.vendor_key import VendorKey
from agent.trust.notices import fingerprint
from agent.trust.releases import ReleaseRefusedError, signed_release
from agent.trust.store import TrustStore
from api.contract.base import Digest
from api.contract.enrollment import EnrollResponse
from api.contract.signed_releases import ReleaseDocument, ReleaseLine, ReleaseSignature

pytestmark = [pytest.mark.anyio, pytest.mark.service]

BAD = "sha256:" + "b" * 64


@pytest.fixture
def key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "vendor.key")


@pytest.fixture
def releasers(tmp_path: Path) -> VendorKey:
    """A key for releases alone: another one than that of the builds."""
    return VendorKey.load_or_create(tmp_path / "releasers.key")


def document(described: BundledRelease, revoked: tuple[Digest, ...] = ()) -> ReleaseDocument:
    lines = {one.component: ReleaseLine(digest=one.digest, config=config_of(one.component)) for one in described.artifacts}
    return ReleaseDocument(app=described.app, number=described.number, components=lines, revoked=list(revoked))


async def bundle(
    path: Path,
    vendor: RegistryServer,
    key: VendorKey,
    *,
    number: int = 3,
    revoked: tuple[Digest, ...] = (),
    releaser: VendorKey | None = None,
    since: Path | None = None,
) -> ReleaseDocument:
    """The bundle of a release that is signed as a whole."""
    described = await release(vendor.client(), key, number)
    said = document(described, revoked)
    signature = signed_release(said, releaser or key)
    await create(path, described, vendor.client(), key, signature=signature, since=since, log=silent)
    return said


def home_of(folder: Path, *keys: VendorKey, app: str = "shop", policy: str = "") -> Path:
    """The folder of an install agent that trusts these keys."""
    home = Home(folder)
    enrolled = EnrollResponse(
        agent_id="agt_1",
        kind="install",
        install_id="ins_1",
        install_name="acme",
        app_name=app,
        vendor_keys=[key.public_pem for key in keys],
    )
    (folder / "identity.json").write_text(enrolled.model_dump_json())
    assert home.identity() is not None
    if policy:
        (folder / "policy.yaml").write_text(f"version: 1\n{policy}\n")
    return folder


async def run(command: str, path: Path, *arguments: str | Path) -> Result:
    given = [command, str(path), *map(str, arguments)]
    return await asyncio.to_thread(CliRunner().invoke, bundle_command, given)


async def pushed(path: Path, customer: RegistryServer, *arguments: str | Path) -> Result:
    login = {"url": customer.url, "username": "writer", "password": "secret", "prefix": "mirror"}
    credentials = path.with_name("registry.json")
    credentials.write_text(json.dumps(login))
    return await run("push", path, "--registry-credentials", credentials, *arguments)


async def test_a_bundle_brings_the_release_as_it_was_signed(tmp_path: Path, key: VendorKey, vendor: RegistryServer) -> None:
    path = tmp_path / "release.tar"
    said = await bundle(path, vendor, key)
    async with opened(path) as layout:
        checked = await check(layout, (key.public_pem,))
    assert checked.signed is not None
    assert checked.signed.document == said
    home = home_of(tmp_path / "home", key, policy="releases: forward")
    shown = await run("verify", path, "--home", home)
    assert shown.exit_code == 0, shown.output
    assert f"Signed as a whole: {checked.signed.digest}, by {fingerprint(key.public_pem)}." in shown.output


async def test_a_delta_to_the_same_release_has_its_signature_too(
    tmp_path: Path, key: VendorKey, vendor: RegistryServer
) -> None:
    """Also where it is large, and the earlier bundle has it: a bundle is checked by itself."""
    many = tuple(f"sha256:{number:064x}" for number in range(2000))
    await bundle(tmp_path / "1.tar", vendor, key, revoked=many)
    await bundle(tmp_path / "2.tar", vendor, key, revoked=many, since=tmp_path / "1.tar")
    async with opened(tmp_path / "2.tar") as layout:
        assert (await check(layout, (key.public_pem,))).signed


@pytest.mark.parametrize("rule", ["signed", "forward"])
async def test_a_release_that_is_not_signed_as_a_whole_is_refused_where_the_policy_asks_for_it(
    rule: str, tmp_path: Path, key: VendorKey, releasers: VendorKey, vendor: RegistryServer, customer: RegistryServer
) -> None:
    plain, foreign = tmp_path / "plain.tar", tmp_path / "foreign.tar"
    await create(plain, await release(vendor.client(), key), vendor.client(), key, log=silent)
    await bundle(foreign, vendor, key, releaser=releasers)
    home = home_of(tmp_path / "home", key, policy=f"releases: {rule}")
    for path, why in ((plain, "the vendor hasn't signed it as a whole"), (foreign, "isn't signed with the vendor's key")):
        for refused in (await run("verify", path, "--home", home), await pushed(path, customer, "--home", home)):
            assert refused.exit_code == 1
            assert f"`releases: {rule}`" in refused.output
            assert why in refused.output
            assert "exclave releases sign" in refused.output
        allowed = await run("verify", path, "--home", home_of(tmp_path / "any", key))
        assert allowed.exit_code == 0, allowed.output
        assert f"Not signed as a whole: {why}" in allowed.output.replace("the release's signature can't be used: it ", "")
    assert await customer.client().find_manifest("mirror/shop/web", "bld_web") is None
    both = home_of(tmp_path / "both", key, releasers, policy=f"releases: {rule}")
    taken = await pushed(foreign, customer, "--home", both)
    assert taken.exit_code == 0, taken.output
    assert await customer.client().find_manifest("mirror/shop/web", "bld_web")


async def test_forward_takes_no_release_below_the_one_that_was_applied(
    tmp_path: Path, key: VendorKey, vendor: RegistryServer
) -> None:
    path = tmp_path / "release.tar"
    await bundle(path, vendor, key, number=3)
    home = home_of(tmp_path / "home", key, policy="releases: forward")
    for applied, code in ((3, 0), (4, 1)):
        TrustStore(home, (key.public_pem,)).release_begun(applied)
        shown = await run("verify", path, "--home", home)
        assert shown.exit_code == code, shown.output
    assert "release 3 is older than 4" in shown.output
    (home / "policy.yaml").write_text("version: 1\nreleases: signed\n")
    assert (await run("verify", path, "--home", home)).exit_code == 0


async def test_forward_without_the_agents_folder_is_refused_not_guessed(
    tmp_path: Path, key: VendorKey, vendor: RegistryServer
) -> None:
    path = tmp_path / "release.tar"
    await bundle(path, vendor, key)
    (tmp_path / "vendor.pub").write_text(key.public_pem)
    for rule, code in (("signed", 0), ("forward", 1)):
        (tmp_path / "rules.yaml").write_text(f"version: 1\nreleases: {rule}\n")
        given = ("--vendor-key", tmp_path / "vendor.pub", "--policy", tmp_path / "rules.yaml")
        shown = await run("verify", path, *given)
        assert shown.exit_code == code, shown.output
    assert "--home" in shown.output


async def test_what_is_revoked_is_not_brought_in(
    tmp_path: Path, key: VendorKey, vendor: RegistryServer, customer: RegistryServer
) -> None:
    path = tmp_path / "release.tar"
    said = await bundle(path, vendor, key)
    async with opened(path) as layout:
        checked = await check(layout, (key.public_pem,))
    assert checked.signed
    web = said.components["web"].digest
    for revoked, rule in ((checked.signed.digest, "releases: signed"), (web, ""), (web, "releases: signed")):
        home = home_of(tmp_path / f"home-{revoked[7:12]}-{len(rule)}", key, policy=rule or "mode: normal")
        TrustStore(home, (key.public_pem,)).add((), [revoked])
        refused = await pushed(path, customer, "--home", home)
        assert refused.exit_code == 1
        assert f"{revoked}" in refused.output
        assert "revoked" in refused.output
    home = home_of(tmp_path / "policy", key, policy=f"revoked: ['{web}']")
    assert "has revoked the artifact" in (await pushed(path, customer, "--home", home)).output
    (tmp_path / "policy" / "policy.yaml").write_text("version: 1\ncomponents: [db]\n")
    assert "allows no component 'web'" in (await pushed(path, customer, "--home", home)).output
    assert await customer.client().find_manifest("mirror/shop/web", "bld_web") is None


async def test_a_key_that_is_revoked_signs_no_bundle_more(tmp_path: Path, key: VendorKey, vendor: RegistryServer) -> None:
    path = tmp_path / "release.tar"
    await bundle(path, vendor, key)
    home = home_of(tmp_path / "home", key)
    TrustStore(home, (key.public_pem,)).add((), [fingerprint(key.public_pem)])
    (tmp_path / "vendor.pub").write_text(key.public_pem)
    for also in ((), ("--vendor-key", tmp_path / "vendor.pub")):
        refused = await run("verify", path, "--home", home, *also)
        assert (refused.exit_code, "every key is revoked" in refused.output) == (1, True), refused.output


async def test_what_a_signed_release_revokes_is_learnt_when_it_is_brought_in(
    tmp_path: Path, key: VendorKey, vendor: RegistryServer, customer: RegistryServer
) -> None:
    path = tmp_path / "release.tar"
    await bundle(path, vendor, key, revoked=(BAD,))
    home = home_of(tmp_path / "home", key, policy="releases: signed")
    trust = TrustStore(home, (key.public_pem,))
    assert (await run("verify", path, "--home", home)).exit_code == 0
    assert trust.revoked() == ()
    for _ in range(2):
        taken = await pushed(path, customer, "--home", home)
        assert taken.exit_code == 0, taken.output
    assert trust.revoked() == (BAD,)
    noted = [each.data for each in entries(Ledger(home).files()) if each.event == "trust.changed"]
    assert [each["revoked"] for each in noted] == [[BAD]]


async def test_a_release_of_another_app_is_refused(tmp_path: Path, key: VendorKey, vendor: RegistryServer) -> None:
    path = tmp_path / "release.tar"
    await bundle(path, vendor, key)
    refused = await run("verify", path, "--home", home_of(tmp_path / "home", key, app="bank", policy="releases: signed"))
    assert "a release of the app 'shop', and this is an install of 'bank'" in refused.output


def other_number(said: ReleaseDocument) -> ReleaseDocument:
    return said.model_copy(update={"number": said.number + 1})


def other_app(said: ReleaseDocument) -> ReleaseDocument:
    return said.model_copy(update={"app": "bank"})


def fewer(said: ReleaseDocument) -> ReleaseDocument:
    return said.model_copy(update={"components": {"web": said.components["web"]}})


def other_artifact(said: ReleaseDocument) -> ReleaseDocument:
    line = ReleaseLine(digest=BAD, config=said.components["web"].config)
    return said.model_copy(update={"components": {**said.components, "web": line}})


def other_config(said: ReleaseDocument) -> ReleaseDocument:
    line = ReleaseLine(digest=said.components["web"].digest, config=BAD)
    return said.model_copy(update={"components": {**said.components, "web": line}})


@pytest.mark.parametrize("change", [other_number, other_app, fewer, other_artifact, other_config])
async def test_what_is_signed_as_a_whole_must_be_what_is_in_the_bundle(
    change: "object", tmp_path: Path, key: VendorKey, vendor: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither made nor, if somebody who has the bundle's key made it all the same, taken."""
    described = await release(vendor.client(), key, 3)
    wrong = signed_release(change(document(described)), key)  # type: ignore[operator]
    path = tmp_path / "release.tar"
    with pytest.raises((BadBundleError, SignatureError)):
        await create(path, described, vendor.client(), key, signature=wrong, log=silent)
    assert not path.exists()
    with monkeypatch.context() as forged:
        forged.setattr("agent.airgap.bundle._check_same", lambda *_: None)
        forged.setattr("agent.airgap.bundle._claims", lambda *_: {})
        await create(path, described, vendor.client(), key, signature=wrong, log=silent)
    async with opened(path) as layout:
        with pytest.raises((BadBundleError, SignatureError)):
            await check(layout, (key.public_pem,))


async def test_a_bundle_is_not_made_with_a_signature_that_is_none(
    tmp_path: Path, key: VendorKey, vendor: RegistryServer
) -> None:
    described = await release(vendor.client(), key)
    wrong = ReleaseSignature(envelope="{}", public_key=key.public_pem)
    with pytest.raises(ReleaseRefusedError):
        await create(tmp_path / "release.tar", described, vendor.client(), key, signature=wrong, log=silent)
    assert list(tmp_path.glob("*.tar")) == []


async def test_a_bundle_command_without_a_key_says_what_to_give(tmp_path: Path, key: VendorKey, vendor: RegistryServer) -> None:
    path = tmp_path / "release.tar"
    await bundle(path, vendor, key)
    asked = await run("verify", path)
    assert asked.exit_code == 2
    assert "give --vendor-key" in asked.output
    (tmp_path / "empty").mkdir()
    asked = await run("verify", path, "--home", tmp_path / "empty")
    assert asked.exit_code == 1
    assert "is not the folder of an install agent that has enrolled" in asked.output
    (tmp_path / "wrong.json").write_text('{"url": 3}')
    (tmp_path / "vendor.pub").write_text(key.public_pem)
    given = ("--vendor-key", tmp_path / "vendor.pub", "--registry-credentials", tmp_path / "wrong.json")
    asked = await run("push", path, *given)
    assert asked.exit_code == 1
    assert "login.url: Input should be a valid string; login.username: Field required" in asked.output


@pytest.mark.parametrize("name", ["shop/../../payroll", "../payroll", "shop/./web", "shop//web", "shop/web?x=y"])
def test_a_bundles_repository_does_not_lead_out_of_the_customers_prefix(name: str) -> None:
    """Also where the vendor has signed it: when they made the bundle, the name was the word of their IMS."""
    with pytest.raises(ValidationError):
        BundledArtifact(component="web", repository=name, digest=BAD, tag="bld_1")
