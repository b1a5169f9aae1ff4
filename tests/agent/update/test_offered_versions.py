"""What an install agent makes of a version that the IMS offers: the vendor's signature and the customer's rules decide.

The IMS is the attacker in most of these. What happens to a version that passes is in tests/e2e/test_agent_updates.py.
"""

import asyncio
import socket
import sysconfig
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_wheels import agent_wheel, package_wheel
from registry_server import RegistryServer

from agent.cancellation import Cancellation, JobCancelledError
from agent.failure import JobFailedError
from agent.identity import VERSION
from agent.install.approvals import Approvals
from agent.install.executor import InstallExecutor
from agent.install.registries import CustomerRegistry, RegistryWriter
from agent.install.site import Site
from agent.install.workspace import Components
from agent.job import JobContext
from agent.ledger.verify import entries
from agent.oci.client import RegistryClient
from agent.oci.signature import sign
from agent.oci.token import Credential
from agent.oci.vendor_key import VendorKey
from agent.redaction import Redactor
from agent.update import state
from agent.update.artifact import PublishedAlreadyError, WheelsWrongError, claims_of, publish
from agent.update.state import State
from agent.update.supervised import Supervised
from agent.update.updates import Updates
from agent.update.versions import Versions
from api.contract.agents import AGENT_REPOSITORY, JobResult, RegistryAccess, UpdateJob
from api.contract.base import Failure

pytestmark = pytest.mark.anyio

AUTO = "version: 1\nupdates:\n  mode: auto\n"
PAUSED = '{"reason": "an incident"}'


@dataclass
class Target:
    """An agent that could update itself, the vendor who publishes, and an IMS that says what it likes."""

    vendor: RegistryServer
    site: Site
    updates: Updates
    key: VendorKey
    folder: Path
    log: list[str] = field(default_factory=list)

    @property
    def versions(self) -> Versions:
        return self.updates.versions

    @property
    def registry(self) -> RegistryClient:
        return RegistryClient(self.vendor.url, Credential("writer", "secret"), self.site.http)

    async def publish(self, version: str, key: VendorKey | None = None, wheels: list[Path] | None = None, **wheel: Any) -> str:
        made = [agent_wheel(self.folder / "wheels", version, whole=False, **wheel), *(wheels or [])]
        return (await publish(made, self.registry, key or self.key, "registry.example")).digest

    def policy(self, text: str) -> None:
        (self.site.approvals.home / "policy.yaml").write_text(text)

    async def offer(self, version: str, digest: str, cancellation: Cancellation | None = None) -> JobResult:
        ticket = self.vendor.ticket(f"ticket-{version}-{digest[-6:]}", digests=None)
        access = RegistryAccess(
            url=self.vendor.url, repository=AGENT_REPOSITORY, username=ticket.username, password=ticket.password
        )
        job = UpdateJob(version=version, digest=digest, registry=access)
        context = JobContext("job_update", self.log.append, Redactor(), cancellation or Cancellation())
        return await InstallExecutor(self.site, self.updates).run(job, context)

    async def refused(self, version: str, digest: str) -> Failure:
        with pytest.raises(JobFailedError) as caught:
            await self.offer(version, digest)
        assert self.versions.read().trial is None, "nothing is to be tried"
        assert self.versions.current() == state.BASE
        return caught.value.failure

    async def staged(self, version: str, digest: str) -> state.Trial:
        """The trial that waits for the supervisor, which the test hasn't got."""
        offering, trial = await self.waiting(version, digest, Cancellation())
        offering.cancel()
        await asyncio.wait([offering])
        return trial

    async def waiting(
        self, version: str, digest: str, cancellation: Cancellation
    ) -> tuple[asyncio.Task[JobResult], state.Trial]:
        """An offer that waits for the supervisor."""
        offering = asyncio.create_task(self.offer(version, digest, cancellation))
        while (trial := self.versions.read().trial) is None:
            await asyncio.wait([offering], timeout=0.02)
            if offering.done():
                await offering
        return offering, trial


@pytest.fixture
def target(tmp_path: Path, vendor: RegistryServer, http: httpx.AsyncClient) -> Target:
    key = VendorKey.load_or_create(tmp_path / "vendor.key")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    site = Site(
        install_id="ins_1",
        app_name="shop",
        components=Components(home),
        registry=CustomerRegistry(RegistryWriter(url="http://127.0.0.1:1", username="writer", password="secret"), http),
        vendor_keys=(key.public_pem,),
        engine=None,
        env={},
        http=http,
        approvals=Approvals(home),
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        supervised = Supervised(theirs, "python", (Path(sysconfig.get_path("purelib")),))
        made = Target(vendor, site, Updates(Versions(home), supervised), key, tmp_path)
        made.policy(AUTO)
        yield made


async def test_a_version_that_the_vendor_has_signed_lies_ready_to_be_tried(target: Target) -> None:
    digest = await target.publish("0.2.0")
    trial = await target.staged("0.2.0", digest)
    assert (trial.target, trial.digest, trial.back_to, trial.trying) == ("0.2.0", digest, state.BASE, False)
    assert target.versions.problem("0.2.0") == ""
    assert target.versions.digest("0.2.0") == digest


async def test_only_what_was_signed_as_this_version_of_the_agent_is_taken(target: Target, tmp_path: Path) -> None:
    attackers = VendorKey.load_or_create(tmp_path / "attackers.key")
    other = await target.publish("0.2.0", attackers)
    assert (await target.refused("0.2.0", other)).code == "signature_refused"

    digest = await target.publish("0.3.0")
    assert (await target.refused("0.4.0", digest)).code == "signature_refused"
    unsigned = await target.registry.get_manifest(AGENT_REPOSITORY, "0.3.0")
    assert (await target.refused("0.3.0", "sha256:" + "f" * 64)).code == "signature_refused"
    assert unsigned.digest == digest


async def test_a_component_that_the_vendor_has_signed_is_no_agent(target: Target) -> None:
    """The key is the same; what was signed says what it is for."""
    digest = await target.publish("0.2.0", VendorKey.load_or_create(target.folder / "other.key"))
    claims = {"dev.exclave.app": "shop", "dev.exclave.component": "network"}
    await sign(target.registry, AGENT_REPOSITORY, digest, target.key, "shop/network", claims)
    assert (await target.refused("0.2.0", digest)).code == "signature_refused"


async def test_a_signature_for_another_version_than_the_artifact_has_is_no_good(target: Target) -> None:
    digest = await target.publish("0.2.0")
    await sign(target.registry, AGENT_REPOSITORY, digest, target.key, AGENT_REPOSITORY, claims_of("9.0.0"))
    assert (await target.refused("9.0.0", digest)).code == "not_an_agent"


async def test_an_older_version_is_refused_though_it_is_signed(target: Target) -> None:
    old = await target.publish("0.0.9")
    failure = await target.refused("0.0.9", old)
    assert (failure.code, VERSION in failure.message) == ("update_refused", True)
    target.versions.change(lambda now: replace(now, highest="0.9.0"))
    newer = await target.publish("0.2.0")
    assert "0.9.0" in (await target.refused("0.2.0", newer)).message


async def test_what_did_not_hold_once_or_is_revoked_is_not_tried_again(target: Target) -> None:
    digest = await target.publish("0.2.0")
    target.versions.change(lambda now: state.refusing(now, digest))
    assert (await target.refused("0.2.0", digest)).code == "update_refused"
    target.versions.change(lambda now: State())
    target.site.trust.add([], [digest])
    assert (await target.refused("0.2.0", digest)).code == "artifact_revoked"


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("version: 1\nupdates:\n  mode: off\n", "refused_by_policy"),
        ("version: 1\nupdates:\n  mode: auto\n  versions: ['0.1.*', 0.2.0]\n", "refused_by_policy"),
        ("version: 1\nupdates:\n  mode: sometimes\n", "policy_invalid"),
        ("version: 1\n", "update_asks"),
    ],
)
async def test_the_customers_policy_decides(target: Target, policy: str, code: str) -> None:
    digest = await target.publish("0.3.0")
    target.policy(policy)
    assert (await target.refused("0.3.0", digest)).code == code
    assert (target.versions.there() == ["0.3.0"]) is (code == "update_asks"), "only an offer is brought here"


NIGHTS = AUTO + "windows: [{days: [sun], from: 02:00, to: 04:00, time_zone: UTC}]\n"
SATURDAY = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(target: Target, *moments: datetime) -> list[str]:
    """Let the agent's clock say these, one each time that it looks, and the last one from then on; gives what it logs."""
    left = list(moments)
    target.site = replace(target.site, clock=lambda: left.pop(0) if len(left) > 1 else left[0])
    target.updates = replace(target.updates, window_seconds=0)
    target.log = []
    return target.log


async def test_an_update_waits_for_the_customers_window_and_says_so(target: Target) -> None:
    digest = await target.publish("0.2.0")
    target.policy(NIGHTS)
    said = at(target, *[SATURDAY] * 6, SATURDAY + timedelta(hours=14))
    await target.staged("0.2.0", digest)
    assert [line for line in said if "window" in line] == [
        "Exclave 0.2.0 lies ready; the customer's maintenance window opens at 2026-11-22 02:00 UTC"
    ]


async def test_a_window_for_other_operations_holds_no_update_back(target: Target) -> None:
    digest = await target.publish("0.2.0")
    target.policy(NIGHTS.replace("time_zone", "operations: [destroy], time_zone"))
    said = at(target, SATURDAY)
    await target.staged("0.2.0", digest)
    assert not [line for line in said if "window" in line]


@pytest.mark.parametrize(
    ("then", "code"),
    [
        (NIGHTS.replace("auto", "off"), "refused_by_policy"),
        (NIGHTS.replace("auto", "ask"), "update_asks"),
        (AUTO, None),
    ],
)
async def test_what_the_customer_changes_while_an_update_waits_holds(target: Target, then: str, code: str | None) -> None:
    digest = await target.publish("0.2.0")
    target.policy(NIGHTS)
    at(target, SATURDAY)

    class Customer(list[str]):
        def append(self, line: str) -> None:
            if "window" in line:
                target.policy(then)

    target.log = Customer()
    if code is None:
        await target.staged("0.2.0", digest)
    else:
        assert (await target.refused("0.2.0", digest)).code == code


async def test_an_update_that_waits_for_a_window_can_be_cancelled(target: Target) -> None:
    digest = await target.publish("0.2.0")
    target.policy(NIGHTS)
    cancellation = Cancellation()
    said = at(target, SATURDAY)
    offering = asyncio.create_task(target.offer("0.2.0", digest, cancellation))
    while not any("window" in line for line in said):
        await asyncio.wait([offering], timeout=0.02)
        assert not offering.done()
    cancellation.request("graceful")
    with pytest.raises(JobCancelledError):
        await offering


async def test_a_paused_agent_brings_nothing(target: Target) -> None:
    digest = await target.publish("0.2.0")
    (target.site.approvals.home / "paused").write_text(PAUSED)
    failure = await target.refused("0.2.0", digest)
    assert (failure.code, "an incident" in failure.message) == ("refused_by_policy", True)


async def test_an_agent_without_a_supervisor_says_that_there_is_a_newer_one(target: Target) -> None:
    digest = await target.publish("0.2.0")
    target.updates = Updates(target.versions)
    failure = await target.refused("0.2.0", digest)
    assert (failure.code, "0.2.0" in failure.message) == ("update_by_image", True)
    assert "update.offered" in [each.event for each in entries(target.site.ledger.files())]


async def test_a_version_that_needs_what_the_machine_lacks_is_refused_unless_it_brings_it(target: Target) -> None:
    lacking = await target.publish("0.2.0", requires="exclave-tests-only>=2")
    failure = await target.refused("0.2.0", lacking)
    assert (failure.code, "exclave-tests-only>=2" in failure.message) == ("not_an_agent", True)
    brought = package_wheel(target.folder / "wheels", "exclave_tests_only", "2.1")
    elsewhere = package_wheel(target.folder / "wheels", "exclave_tests_only", "3.0", "cp39-cp39-win_amd64")
    whole = await target.publish("0.3.0", wheels=[brought, elsewhere], requires="exclave-tests-only>=2")
    await target.staged("0.3.0", whole)
    assert target.versions.problem("0.3.0") == ""


async def test_a_file_that_was_changed_since_keeps_a_version_from_being_started(target: Target) -> None:
    await target.staged("0.2.0", await target.publish("0.2.0"))
    package = next(target.versions.root("0.2.0").glob("lib/*/site-packages/agent"))
    (package / "cli.py").write_text("print('changed')\n")
    assert "aren't those that were verified" in target.versions.problem("0.2.0")
    target.versions.root("0.2.0").chmod(0o777)
    assert "the agent's user alone" in target.versions.problem("0.2.0")


async def test_a_version_is_published_once_and_with_one_wheel_of_exclave(target: Target) -> None:
    first = await target.publish("0.2.0")
    assert await target.publish("0.2.0") == first
    with pytest.raises(PublishedAlreadyError):
        await target.publish("0.2.0", changed={"agent/cli.py": "# changed\n"})
    with pytest.raises(WheelsWrongError):
        await publish([package_wheel(target.folder, "other", "1.0")], target.registry, target.key, "registry.example")


async def test_a_cancelled_update_that_was_not_tried_yet_is_withdrawn(target: Target) -> None:
    digest = await target.publish("0.2.0")
    cancellation = Cancellation()
    offering, _ = await target.waiting("0.2.0", digest, cancellation)
    cancellation.request("graceful")
    with pytest.raises(JobCancelledError):
        await offering
    assert target.versions.read().trial is None
