"""`release-signed`: the IMS is the attacker, and the customer's rule lets only signed releases run.

Everything that it sends here is signed by the vendor's builds; what it makes up is which of it belongs together.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from customer import Customer

from agent.failure import JobFailedError
from agent.install.executor import InstallExecutor
from agent.ledger.verify import entries
from agent.oci.dsse import sealed
from agent.oci.manifest import canonical_json
from agent.oci.vendor_key import VendorKey
from agent.trust.claims import config_digest
from agent.trust.notices import fingerprint
from agent.trust.releases import signed_release
from api.contract.agents import DeployJob, JobResult
from api.contract.base import Digest, Failure
from api.contract.signed_releases import ReleaseDocument, ReleaseLine

pytestmark = pytest.mark.anyio

NETWORK = 'variable "name" { default = "a" }\noutput "name" { value = var.name }\n'
NEWER = NETWORK + 'output "version" { value = "2" }\n'
WEB = 'variable "name" { default = "a" }\noutput "url" { value = var.name }\n'


def ruled(customer: Customer, releases: str) -> None:
    (customer.site.approvals.home / "policy.yaml").write_text(f"version: 1\nreleases: {releases}\n")


@pytest.fixture
async def victim(account: Customer) -> Customer:
    """A customer who runs signed releases alone, and has `network` and `web`, built by the vendor."""
    for component, source in (("network", NETWORK), ("web", WEB)):
        await account.build(component, source)
        await account.sync(component)
        await account.build_with(account.job("plan", component, {"name": "a"}))
    ruled(account, "signed")
    return account


def document(customer: Customer, number: int = 1, revoked: Sequence[Digest] = (), app: str = "shop") -> ReleaseDocument:
    """The release that consists of what the vendor has built last."""
    jobs = {name: customer.job("plan", name, {"name": "a"}) for name in customer.digests}
    lines = {name: ReleaseLine(digest=job.digest, config=config_digest(job.config)) for name, job in jobs.items()}
    return ReleaseDocument(app=app, number=number, components=lines, revoked=list(revoked))


def signed(customer: Customer, number: int = 1, revoked: Sequence[Digest] = (), app: str = "shop") -> str:
    """The same, signed by the vendor."""
    return signed_release(document(customer, number, revoked, app), customer.key).envelope


async def attack(customer: Customer, job: DeployJob, envelope: str | None, job_id: str = "job_plan") -> JobResult:
    """Run a job whose release the IMS says to be signed like this."""

    async def release() -> str | None:
        return envelope

    return await InstallExecutor(customer.site).run(job, replace(customer.context(job_id), release=release))


async def refused(customer: Customer, job: DeployJob, envelope: str | None, code: str = "release_refused") -> Failure:
    with pytest.raises(JobFailedError) as caught:
        await attack(customer, job, envelope, "job_refused")
    assert caught.value.failure.code == code
    return caught.value.failure


def planned(customer: Customer, component: str = "network", kind: str = "plan", **more: str) -> DeployJob:
    return customer.job(kind, component, {"name": "a"}, **more)  # type: ignore[arg-type]


async def deployed(customer: Customer, envelope: str, component: str = "network") -> None:
    await attack(customer, planned(customer, component), envelope)
    await attack(customer, planned(customer, component, "apply", plan="job_plan"), envelope, "job_apply")


async def test_a_signed_release_runs_and_the_ledger_names_it(victim: Customer) -> None:
    await deployed(victim, signed(victim, 7))
    told = [each.data for each in entries(victim.site.ledger.files()) if each.event in ("plan.saved", "plan.begun")]
    assert [each["release"] for each in told] == [7, 7]
    assert victim.site.components.outputs("network") == {"name": "a"}


@pytest.mark.parametrize("rule", ["signed", "forward"])
async def test_a_release_that_nobody_has_signed_does_not_run(victim: Customer, rule: str) -> None:
    ruled(victim, rule)
    failure = await refused(victim, planned(victim), None, "release_unsigned")
    assert "exclave releases sign" in failure.remedy


async def test_without_the_rule_nothing_is_asked_for(victim: Customer) -> None:
    (victim.site.approvals.home / "policy.yaml").unlink()
    assert (await attack(victim, planned(victim), None)).kind == "plan"


async def test_a_digest_of_another_release_is_refused(victim: Customer) -> None:
    old = signed(victim, 1)
    await victim.build("network", NEWER)
    await victim.sync("network")
    await victim.build_with(planned(victim))
    assert (await attack(victim, planned(victim), signed(victim, 2))).kind == "plan"
    assert "not sha256:" in (await refused(victim, planned(victim), old)).message


async def test_a_digest_of_another_component_is_refused(victim: Customer) -> None:
    network = planned(victim)
    as_web = network.model_copy(update={"component": "web"})
    await victim.build_with(as_web)  # the vendor may have built the same thing for both
    await refused(victim, as_web, signed(victim))
    await refused(victim, planned(victim).model_copy(update={"component": "other"}), signed(victim), "signature_refused")


async def test_a_config_that_was_built_but_not_released_is_refused(victim: Customer) -> None:
    other = victim.job("plan", "network", {"name": "b"})
    await victim.build_with(other)
    assert "another config" in (await refused(victim, other, signed(victim))).message


async def test_an_artifact_that_the_config_refers_to_is_the_releases(victim: Customer) -> None:
    job, envelope = planned(victim), signed(victim)
    for digests in ({**job.digests, "web": job.digest}, {**job.digests, "more": job.digest}):
        await refused(victim, job.model_copy(update={"digests": digests}), envelope)


async def test_a_document_of_another_app_is_refused(victim: Customer) -> None:
    assert "'blog'" in (await refused(victim, planned(victim), signed(victim, app="blog"))).message


async def test_what_the_vendors_key_has_not_signed_as_a_release_is_refused(victim: Customer, tmp_path: Path) -> None:
    said = document(victim)
    payload = canonical_json(said.model_dump(mode="json"))
    attackers = VendorKey.load_or_create(tmp_path / "attackers.key")
    for envelope in (
        signed_release(said, attackers).envelope,
        sealed("application/vnd.in-toto+json", payload, victim.key).decode(),
        "{}",
        "",
    ):
        await refused(victim, planned(victim), envelope)


async def test_a_field_that_the_agent_does_not_know_is_not_passed_over(victim: Customer) -> None:
    said = {**document(victim).model_dump(mode="json"), "only_in": "eu"}
    envelope = sealed("application/vnd.exclave.signed-release.v1+json", canonical_json(said), victim.key).decode()
    assert "Update the agent" in (await refused(victim, planned(victim), envelope)).remedy


async def test_a_replayed_release_is_refused_where_the_rule_says_forward(victim: Customer) -> None:
    ruled(victim, "forward")
    await deployed(victim, signed(victim, 2))
    assert "older than 2" in (await refused(victim, planned(victim, "web"), signed(victim, 1))).message
    looks = planned(victim).model_copy(update={"look_at_health": True})
    assert (await attack(victim, looks, signed(victim, 1), "job_looks")).kind == "plan"  # nothing of it is applied:
    await refused(victim, planned(victim, kind="apply", plan="job_looks"), signed(victim, 1))
    assert (await attack(victim, planned(victim), signed(victim, 2), "job_again")).kind == "plan"


async def test_what_is_older_can_still_be_destroyed(victim: Customer) -> None:
    await deployed(victim, signed(victim, 1), "web")
    ruled(victim, "forward")
    await deployed(victim, signed(victim, 2))
    await attack(victim, planned(victim, "web", "plan_destroy"), signed(victim, 1), "job_away")
    await attack(victim, planned(victim, "web", "destroy", plan="job_away"), signed(victim, 1), "job_destroy")
    assert victim.site.components.outputs("web") is None


async def test_going_back_is_allowed_where_the_rule_says_signed(victim: Customer) -> None:
    await deployed(victim, signed(victim, 2))
    assert (await attack(victim, planned(victim), signed(victim, 1))).kind == "plan"


async def test_a_plan_of_a_release_that_was_overtaken_is_not_applied(victim: Customer) -> None:
    ruled(victim, "forward")
    await attack(victim, planned(victim, "web"), signed(victim, 1), "job_old")
    await deployed(victim, signed(victim, 2))
    await refused(victim, planned(victim, "web", "apply", plan="job_old"), signed(victim, 2))


async def test_no_way_leads_back_to_a_revoked_release(victim: Customer) -> None:
    first = signed(victim, 1)
    await attack(victim, planned(victim, "web"), first, "job_old")
    digest = _document_of(victim, "web", "job_old")
    await deployed(victim, signed(victim, 2, revoked=[digest]))
    assert "is revoked" in (await refused(victim, planned(victim, "web"), first)).message
    await refused(victim, planned(victim, "web", "apply", plan="job_old"), None)


async def test_a_plan_from_before_the_rule_is_not_applied(victim: Customer) -> None:
    (victim.site.approvals.home / "policy.yaml").unlink()
    await attack(victim, planned(victim), None, "job_old")
    ruled(victim, "signed")
    await refused(victim, planned(victim, kind="apply", plan="job_old"), signed(victim), "release_unsigned")


async def test_a_vendor_key_that_is_revoked_signs_no_release(victim: Customer, tmp_path: Path) -> None:
    stolen = VendorKey.load_or_create(tmp_path / "stolen.key")
    victim.site.trust.add([stolen.public_pem], [])
    envelope = signed_release(document(victim), stolen).envelope
    assert (await attack(victim, planned(victim), envelope)).kind == "plan"
    victim.site.trust.add([], [fingerprint(stolen.public_pem)])
    await refused(victim, planned(victim), envelope)


def _document_of(customer: Customer, component: str, job_id: str) -> Digest:
    record = customer.site.components.of(component).plan(job_id).record()
    assert record
    assert record.release
    return record.release.document
