"""The install agent's jobs on a real engine: `saved-plan`, `digest-pinned`, and what stays with the customer."""

import asyncio
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from customer import Customer
from small_modules import NETWORK, SERVICE, SLOW, failure_of, until

from agent.cancellation import Cancellation, JobCancelledError
from agent.install.approvals import LocalApproval
from agent.oci.vendor_key import VendorKey
from agent.redaction import Redactor
from api.contract.agents import ApplyResult, DeployJob, PlanResult, SyncResult
from api.contract.resources import PlanSummary

pytestmark = pytest.mark.anyio


async def test_a_component_goes_from_the_vendors_registry_to_its_outputs(account: Customer) -> None:
    await account.build("network", NETWORK)
    synced = await account.sync("network")
    assert isinstance(synced, SyncResult)
    assert synced.copied_bytes > 0

    planned = await account.run(account.job("plan", "network", {"cidr": "{{ inputs.cidr }}"}, inputs={"cidr": "10.0.0.0/16"}))
    assert isinstance(planned, PlanResult)
    assert (planned.summary.add, planned.summary.change, planned.summary.destroy) == (1, 0, 0)
    assert [(change.address, change.actions) for change in planned.summary.resources] == [("terraform_data.net", ["create"])]
    assert "10.0.0.0" not in planned.model_dump_json()

    applied = await account.run(account.job("apply", "network", plan="job_1"), "job_2")
    assert applied == ApplyResult(outputs={"id": "net-10.0.0.0/16"}, outputs_changed=True)


async def test_sensitive_outputs_stay_and_serve_other_components(account: Customer) -> None:
    await account.build("service", SERVICE)
    await account.build("consumer", 'variable "token" { type = string }\noutput "length" { value = length(var.token) }\n')

    applied = await account.deploy(
        "service",
        {"network": "n", "password": "{{ inputs.password }}", "ports": "[80, 443]"},
        sensitive={"password": "canary-4711"},
    )
    assert applied == ApplyResult(outputs={"url": "https://n/80,443"}, sensitive_outputs=["token"], outputs_changed=True)

    reused = await account.deploy("consumer", {"token": "{{ components.service.outputs.token }}"})
    assert reused == ApplyResult(outputs={"length": len("token-canary-4711")}, outputs_changed=True)
    said = "\n".join(map(account.secrets.text, account.log))
    assert "canary-4711" not in said


async def test_what_the_plan_marks_as_sensitive_is_kept_out_of_the_log_of_its_apply(account: Customer) -> None:
    await account.build(
        "talkative",
        """
variable "key" {
  sensitive = true
  default   = "canary-4712"
}
resource "terraform_data" "x" {
  input = var.key
  provisioner "local-exec" { command = "echo ${nonsensitive(var.key)}" }
}
""",
    )
    await account.deploy("talkative")
    assert "canary-4712" in "\n".join(account.log)
    assert "canary-4712" not in account.secrets.text("\n".join(account.log))

    account.secrets = Redactor()
    again = await account.run(account.job("apply", "talkative", plan="job_plan"), "job_apply")
    assert again.kind == "apply"
    assert account.secrets.text("canary-4712") == "(sensitive)"


async def test_the_same_again_changes_nothing(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.deploy("network", {"cidr": "a"})
    planned = await account.run(account.job("plan", "network", {"cidr": "a"}), "job_again")
    assert planned.summary.empty
    applied = await account.run(account.job("apply", "network", plan="job_again"), "job_apply_again")
    assert not applied.outputs_changed


async def test_a_destroy_removes_everything_that_was_kept(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.deploy("network", {"cidr": "a"})

    planned = await account.run(account.job("plan_destroy", "network", {"cidr": "a"}), "job_down")
    assert planned.summary.destroy == 1
    gone = await account.run(account.job("destroy", "network", plan="job_down"), "job_destroy")

    assert gone == ApplyResult(outputs_changed=True)
    assert not account.home("network").exists()
    assert list(account.site.components.folder.iterdir()) == []
    again = await account.run(account.job("destroy", "network", plan="job_down"), "job_destroy")
    assert again == ApplyResult(outputs_changed=False)


async def test_destroying_what_was_never_applied_needs_no_plan(account: Customer) -> None:
    await account.build("network", NETWORK)
    planned = await account.run(account.job("plan_destroy", "network"), "job_down")
    assert planned.summary.empty
    await account.run(account.job("destroy", "network", plan="job_down"), "job_destroy")
    assert not account.home("network").exists()


@pytest.mark.parametrize(
    ("source", "variables", "code", "said", "field"),
    [
        (NETWORK, {"cidr": "a", "nope": "b"}, "unknown_variable", "it declares: cidr", "config.variables.nope"),
        (NETWORK, {"cidr": "{{ inputs.none }}"}, "unresolved_reference", "no value for input", "config.variables.cidr"),
        (NETWORK, {}, "plan_failed", "No value for required variable", None),
        ('terraform {\n  required_version = ">= 99"\n}\n', {}, "init_failed", "main.tf:2", None),
        ('output "x" {\n  value = file("gone")\n}\n', {}, "plan_failed", "main.tf:2", None),
        (
            'resource "terraform_data" "x" {\n  provisioner "local-exec" { command = "exit 7" }\n}\n',
            {},
            "apply_failed",
            "exit status 7",
            None,
        ),
    ],
)
async def test_what_fails_says_why_and_where(
    source: str, variables: dict[str, str], code: str, said: str, field: str | None, account: Customer
) -> None:
    await account.build("broken", source)
    failure = await failure_of(account.deploy("broken", variables))
    assert failure.code == code
    assert said in failure.message
    assert failure.field == field
    assert failure.remedy


async def test_only_the_plan_that_was_saved_is_applied(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.sync("network")
    missing = await failure_of(account.run(account.job("apply", "network", plan="job_none")))
    assert missing.code == "plan_missing"

    await account.run(account.job("plan", "network", {"cidr": "a"}), "job_plan")
    wrong_way = await failure_of(account.run(account.job("destroy", "network", plan="job_plan")))
    assert wrong_way.code == "plan_changed"

    with (account.home("network") / "plans" / "job_plan" / "plan").open("ab") as file:
        file.write(b"x")
    changed = await failure_of(account.run(account.job("apply", "network", plan="job_plan")))
    assert changed.code == "plan_changed"


async def test_a_plan_is_refused_once_another_was_applied(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.sync("network")
    await account.run(account.job("plan", "network", {"cidr": "a"}), "job_a")
    await account.run(account.job("plan", "network", {"cidr": "b"}), "job_b")
    await account.run(account.job("apply", "network", plan="job_b"), "job_c")
    stale = await failure_of(account.run(account.job("apply", "network", plan="job_a"), "job_d"))
    assert stale.code == "plan_stale"
    assert stale.retryable


async def test_a_bundle_is_never_unpacked_without_the_vendors_signature(account: Customer, tmp_path: Path) -> None:
    await account.build("network", NETWORK, key=VendorKey.load_or_create(tmp_path / "other.key"))
    refused = await failure_of(account.sync("network"))
    assert refused.code == "signature_refused"
    assert not list((tmp_path / "customer").rglob("*/blobs/*/*"))


async def test_a_changed_byte_in_the_customers_registry_stops_the_plan(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.sync("network")
    manifest = await account.registry.client().get_manifest("shop/network", account.digests["network"])
    account.registry.tamper(manifest.body().layers[0].digest)
    refused = await failure_of(account.run(account.job("plan", "network", {"cidr": "a"})))
    assert refused.code == "digest_mismatch"
    assert not (account.home("network") / "work").exists()


async def test_an_apply_that_had_ended_before_the_agent_was_killed_is_not_run_again(account: Customer, tmp_path: Path) -> None:
    command = f"echo ran >> {tmp_path}/ran"
    provisioner = f'provisioner "local-exec" {{ command = "{command}" }}'
    await account.build("once", f'resource "terraform_data" "x" {{\n  {provisioner}\n}}\noutput "o" {{ value = 1 }}\n')
    await account.deploy("once")
    (account.home("once") / "outputs.json").unlink()

    again = await account.run(account.job("apply", "once", plan="job_plan"), "job_apply")

    assert again.outputs == {"o": 1}
    assert (tmp_path / "ran").read_text() == "ran\n"


async def test_outputs_that_an_interrupted_apply_did_not_read_are_read_by_the_next(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.deploy("network", {"cidr": "a"})
    (account.home("network") / "outputs.json").unlink()
    planned = await account.run(account.job("plan", "network", {"cidr": "a"}), "job_again")
    assert planned.summary.outputs_change
    applied = await account.run(account.job("apply", "network", plan="job_again"), "job_x")
    assert applied.outputs == {"id": "net-a"}


async def test_an_apply_that_was_cut_off_needs_a_new_plan(account: Customer, tmp_path: Path) -> None:
    await account.build("slow", SLOW)
    marker = tmp_path / "started"
    await account.sync("slow")
    await account.run(account.job("plan", "slow", {"marker": str(marker)}), "job_plan")
    running = asyncio.create_task(account.run(account.job("apply", "slow", plan="job_plan"), "job_apply"))
    await until(marker.exists)

    running.cancel()
    await asyncio.wait([running])
    cut = await failure_of(account.run(account.job("apply", "slow", plan="job_plan"), "job_apply"))

    assert cut.code == "apply_interrupted"
    assert cut.retryable
    stored = account.site.states.of("slow").load()
    assert stored
    assert "first" in [resource["name"] for resource in json.loads(stored.state)["resources"]]


async def test_a_cancelled_apply_is_reported_as_cancelled(account: Customer, tmp_path: Path) -> None:
    await account.build("slow", SLOW)
    marker = tmp_path / "started"
    await account.sync("slow")
    await account.run(account.job("plan", "slow", {"marker": str(marker)}), "job_plan")
    cancellation = Cancellation()
    running = asyncio.create_task(account.run(account.job("apply", "slow", plan="job_plan"), "job_apply", cancellation))
    await until(marker.exists)

    cancellation.request("graceful")

    with pytest.raises(JobCancelledError):
        await running


async def test_state_that_an_apply_could_not_write_is_put_in_its_place(account: Customer) -> None:
    await account.build("network", NETWORK)
    await account.deploy("network", {"cidr": "a"})
    states = account.site.states.of("network")
    before = states.load()
    assert before
    known = (account.home("network") / "state" / "known.json").read_bytes()
    await account.deploy("network", {"cidr": "b"})
    after = states.load()
    assert after
    # What Terraform does when it can't write: the old state stays, and the new one lies where it ran.
    (account.home("network") / "work" / "errored.tfstate").write_bytes(after.state)
    (account.home("network") / "state" / "known.json").write_bytes(known)
    states.save(before.state, after.tag)

    planned = await account.run(account.job("plan", "network", {"cidr": "b"}), "job_next")

    assert planned == PlanResult(summary=PlanSummary(), plan_digest=planned.plan_digest)
    now = states.load()
    assert now
    assert now.state == after.state


async def test_a_job_for_another_install_is_refused(account: Customer) -> None:
    await account.build("network", NETWORK)
    refused = await failure_of(account.run(account.job("plan", "network", install="ins_2")))
    assert refused.code == "wrong_agent"


@pytest.mark.parametrize("name", ["../escape", "a/b", "..", ".hidden", ""])
async def test_a_component_cannot_name_a_folder_outside_of_the_home(name: str, account: Customer, tmp_path: Path) -> None:
    account.digests[name] = "sha256:" + "0" * 64
    refused = await failure_of(account.run(account.job("plan", name)))
    assert refused.code == "unsafe_name"


async def test_nothing_is_read_by_others(account: Customer) -> None:
    old = os.umask(0o077)
    try:
        await account.build("network", NETWORK)
        await account.deploy("network", {"cidr": "a"})
    finally:
        os.umask(old)
    home = account.home("network")
    for path in (
        home / "outputs.json",
        account.site.components.folder.parent / "states" / "ins_1" / "network" / "current",
        home / "plans" / "job_plan" / "variables.tfvars.json",
    ):
        assert path.stat().st_mode & 0o077 == 0


async def test_the_bundle_needs_only_the_customers_registry(account: Customer, tmp_path: Path) -> None:
    await account.build("network", NETWORK)
    await account.sync("network")
    shutil.rmtree(account.vendor.folder)
    planned = await account.run(account.job("plan", "network", {"cidr": "a"}))
    assert planned.summary.add == 1


async def approvable(account: Customer) -> tuple[DeployJob, PlanResult]:
    """A job that would apply a plan which the customer has to approve."""
    await account.build("network", NETWORK)
    await account.sync("network")
    planned = await account.run(account.job("plan", "network", {"cidr": "10.0.0.0/16"}), "job_plan")
    assert isinstance(planned, PlanResult)
    job = account.job("apply", "network", {"cidr": "10.0.0.0/16"}, plan="job_plan")
    return job.model_copy(update={"approval": "customer", "plan_digest": planned.plan_digest}), planned


def approval(digest: str) -> LocalApproval:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return LocalApproval(
        plan_job_id="job_plan",
        plan_digest=digest,
        component="network",
        deploy_id="dep_1",
        approved_by="her",
        approved_at=now,
    )


async def test_what_the_customer_has_not_approved_on_this_machine_is_not_applied_whatever_the_ims_says(
    account: Customer,
) -> None:
    job, planned = await approvable(account)
    assert (await failure_of(account.run(job))).code == "approval_missing"
    account.site.approvals.add(approval("sha256:" + "0" * 64))
    assert (await failure_of(account.run(job))).code == "approval_missing", "an approval of another plan"
    account.site.approvals.add(approval(planned.plan_digest))
    assert isinstance(await account.run(job), ApplyResult)


async def test_an_agent_that_was_told_to_ask_its_customer_asks_even_if_the_ims_does_not(account: Customer) -> None:
    job, planned = await approvable(account)
    account.site.approvals.choose("customer")
    relaxed = job.model_copy(update={"approval": "auto"})
    failure = await failure_of(account.run(relaxed))
    assert failure.code == "approval_missing"
    assert "exclave agent approve" in failure.remedy
    account.site.approvals.add(approval(planned.plan_digest))
    assert isinstance(await account.run(relaxed), ApplyResult)
    again = await account.run(account.job("plan", "network", {"cidr": "10.0.0.0/16"}), "job_again")
    assert isinstance(again, PlanResult)
    assert again.summary.empty
    harmless = relaxed.model_copy(update={"plan_job_id": "job_again", "plan_digest": again.plan_digest})
    assert isinstance(await account.run(harmless), ApplyResult), "a plan that changes nothing needs no approval"


async def test_a_plan_that_the_ims_knows_by_another_digest_is_not_applied(account: Customer) -> None:
    job, _ = await approvable(account)
    other = job.model_copy(update={"approval": "auto", "plan_digest": "sha256:" + "0" * 64})
    assert (await failure_of(account.run(other))).code == "plan_changed"
