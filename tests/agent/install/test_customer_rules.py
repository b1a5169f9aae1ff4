"""The customer's rules at work: on a real engine, and as the vendor sees them."""

from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from customer import Customer

from agent.failure import JobFailedError
from agent.install.approvals import LocalApproval
from agent.ledger.verify import entries, verify
from agent.policy.pause import KillSwitch, Paused
from api.contract.agents import JobResult, PlanResult
from api.contract.base import Failure

pytestmark = pytest.mark.anyio

NETWORK = """
variable "name" { default = "a" }
resource "terraform_data" "net" {
  input            = var.name
  triggers_replace = [var.name]
}
output "name" { value = terraform_data.net.output }
"""
KEEP = "rules: [{name: keep data, message: Call us., types: [terraform_data], actions: [delete, replace]}]\n"


def set_policy(account: Customer, text: str) -> None:
    (account.site.approvals.home / "policy.yaml").write_text("version: 1\n" + text)


def events(account: Customer) -> list[str]:
    files = account.site.ledger.files()
    assert verify(files).broken is None
    return [each.event for each in entries(files)]


async def refused(work: Awaitable[JobResult], code: str = "refused_by_policy") -> Failure:
    with pytest.raises(JobFailedError) as caught:
        await work
    assert caught.value.failure.code == code
    assert caught.value.failure.remedy
    return caught.value.failure


async def test_a_plan_that_breaks_a_rule_is_refused_and_can_not_be_applied(account: Customer) -> None:
    await account.build("network", NETWORK)
    set_policy(account, KEEP)
    await account.deploy("network")

    failure = await refused(account.run(account.job("plan", "network", {"name": "canary-4713"}), "job_again"))
    assert failure.message == (
        "the customer's policy refuses the plan of network: rule 'keep data': Call us (terraform_data.net)"
    )
    assert "canary" not in failure.model_dump_json()
    await refused(account.run(account.job("apply", "network", plan="job_again"), "job_apply_again"), "plan_missing")
    await refused(account.run(account.job("plan_destroy", "network"), "job_destroy"))


async def test_a_rule_that_comes_after_the_plan_is_looked_at_before_the_apply(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.deploy("network")
    await account.run(account.job("plan", "network", {"name": "b"}), "job_b")
    set_policy(account, KEEP)
    await refused(account.run(account.job("apply", "network", plan="job_b"), "job_apply_b"))
    set_policy(account, "")
    assert (await account.run(account.job("apply", "network", plan="job_b"), "job_apply_b")).kind == "apply"


async def test_what_a_rule_asks_for_is_applied_only_with_a_local_approval(account: Customer) -> None:
    await account.build("network", NETWORK)
    set_policy(account, KEEP.replace("name: keep data", "name: ask, effect: ask"))
    await account.deploy("network")  # nothing is lost: nobody is asked
    planned = await account.run(account.job("plan", "network", {"name": "b"}), "job_b")
    assert isinstance(planned, PlanResult)
    assert planned.summary.asks == ["rule 'ask': Call us (terraform_data.net)"]
    assert "asks for their own yes to this plan: rule 'ask'" in "\n".join(account.log)

    applying = account.job("apply", "network", plan="job_b")
    failure = await refused(account.run(applying, "job_apply_b"), "approval_missing")
    assert "rule 'ask'" in failure.message
    account.site.approvals.add(
        LocalApproval(
            plan_job_id="job_b",
            plan_digest=planned.plan_digest,
            component="network",
            deploy_id="dep_1",
            approved_by="ann",
            approved_at=datetime.now(UTC),
        )
    )
    await account.run(applying, "job_apply_b")
    begun = [each for each in entries(account.site.ledger.files()) if each.event == "plan.begun"]
    assert begun[-1].data["approved_by"] == "ann"
    assert begun[-1].data["plan_digest"] == planned.plan_digest


async def test_an_agent_that_asks_for_everything_says_so_with_each_plan_that_changes_something(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.deploy("network")
    account.site.approvals.choose("customer")
    unchanged = await account.run(account.job("plan", "network"), "job_same")
    changed = await account.run(account.job("plan", "network", {"name": "b"}), "job_b")
    assert isinstance(unchanged, PlanResult)
    assert isinstance(changed, PlanResult)
    assert unchanged.summary.asks == []
    assert changed.summary.asks == ["the agent was started with `--approval customer`"]


async def test_a_drift_run_says_what_a_rule_would_refuse_and_its_plan_is_still_refused_at_an_apply(account: Customer) -> None:
    await account.build("network", NETWORK)
    set_policy(account, KEEP)
    await account.deploy("network")
    look = account.job("plan", "network", {"name": "canary-4715"}).model_copy(update={"look_at_health": True})
    found = await account.run(look, "job_look")
    assert isinstance(found, PlanResult)
    assert found.summary.refused == ["rule 'keep data': Call us (terraform_data.net)"]
    assert "canary" not in found.model_dump_json()
    await refused(account.run(account.job("apply", "network", plan="job_look"), "job_apply_look"))


async def test_read_only_kinds_windows_and_the_kill_switch_hold(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.sync("network")
    set_policy(account, "mode: read_only\n")
    await account.run(account.job("plan", "network"), "job_plan")
    applying = account.job("apply", "network", plan="job_plan")
    await refused(account.run(applying, "job_apply"))

    set_policy(account, "kinds: [helm_chart]\n")
    await refused(account.run(account.job("plan", "network"), "job_2"))

    opens = datetime.now(UTC) + timedelta(hours=2)
    window = f"{{from: {opens:%H:%M}, to: {opens + timedelta(hours=1):%H:%M}, time_zone: UTC}}"
    set_policy(account, f"windows: [{window}]\n")
    assert (await refused(account.run(applying, "job_apply"))).retryable
    account.site = replace(account.site, clock=lambda: opens + timedelta(minutes=5))
    KillSwitch(account.site.approvals.home).pause(Paused(reason="an incident"))
    assert "an incident" in (await refused(account.run(applying, "job_apply"))).message
    KillSwitch(account.site.approvals.home).resume()
    assert (await account.run(applying, "job_apply")).kind == "apply"


async def test_with_a_bad_policy_file_nothing_runs(account: Customer) -> None:
    await account.build("network", NETWORK)
    set_policy(account, "modes: x\n")
    failure = await refused(account.sync("network"), "policy_invalid")
    assert "policy.yaml:2: modes: there is no such field" in failure.message


async def test_each_operation_has_the_environment_that_the_policy_gives_it(account: Customer, tmp_path: Path) -> None:
    said = tmp_path / "profile"
    command = f'command = "printf %s \\"$AWS_PROFILE\\" > {said}"'
    await account.build("network", f'resource "terraform_data" "x" {{\n  provisioner "local-exec" {{ {command} }}\n}}\n')
    set_policy(account, "environment: {plan: {AWS_PROFILE: reader}, apply: {AWS_PROFILE: writer}}\n")
    await account.deploy("network")
    assert said.read_text() == "writer"
    assert account.site.under(account.site.rules.load(), "plan_destroy").env["AWS_PROFILE"] == "reader"
    assert "AWS_PROFILE" not in account.site.env


async def test_what_the_policy_redacts_is_in_no_log(account: Customer) -> None:
    await account.build("network", NETWORK)
    set_policy(account, "redact: ['terraform_[a-z]+']\n")
    await account.deploy("network")
    said = "\n".join(map(account.secrets.text, account.log))
    assert "(sensitive).net" in said
    assert "terraform_data" not in said


async def test_the_ledger_tells_what_was_taken_planned_begun_and_how_it_ended(account: Customer) -> None:
    digest = await account.build("network", NETWORK)
    await account.deploy("network", {"name": "canary-4714"})
    set_policy(account, "mode: read_only\n")
    await refused(account.run(account.job("apply", "network", plan="job_plan"), "job_2"))

    told = [event for event in events(account) if event != "artifact.verified"]
    taken_and_ended = ["job.taken", "job.ended"]
    planned = ["job.taken", "plan.saved", "job.ended"]
    begun = ["job.taken", "plan.begun", "job.ended"]
    assert told == ["checkpoint", *taken_and_ended, *planned, *begun, *taken_and_ended]
    lines = b"".join(file.read_bytes() for file in account.site.ledger.files())
    assert b"canary-4714" not in lines
    ended = list(entries(account.site.ledger.files()))[-1]
    assert (ended.data["outcome"], ended.data["code"]) == ("failed", "refused_by_policy")
    assert all(each.data["digest"] == digest for each in entries(account.site.ledger.files()) if each.event == "job.taken")


async def test_what_can_not_be_written_down_is_not_done(account: Customer) -> None:
    await account.build("network", NETWORK)
    (account.site.approvals.home / "ledger").write_text("in the way")
    await refused(account.sync("network"), "ledger_unwritable")
