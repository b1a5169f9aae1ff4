"""Canaries on every way that a secret takes through the install agent: none leaves it in the clear."""

import dataclasses
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from customer import Customer

from agent.failure import JobFailedError
from agent.install.executor import InstallExecutor
from agent.redaction import Redactor
from agent.secrets.resolve import ENV_PREFIX, Resolver
from api.contract.agents import ApplyResult, PlanResult
from api.contract.sealed_box import job_context, seal

pytestmark = pytest.mark.anyio

INPUT, NAMED, FROM_ENV, FROM_FILE = (f"canary-{name}-7f3e-staple" for name in ("input", "named", "env", "file"))
CANARIES = (INPUT, NAMED, FROM_ENV, FROM_FILE)
TALKS = """
variable "secrets" { type = list(string) }
variable "size" { type = number }
resource "terraform_data" "x" {
  for_each = toset([for s in var.secrets : "key-${s}"])
  input    = each.key
  provisioner "local-exec" { command = "echo says ${each.key}" }
}
output "all" { value = join(" ", var.secrets) }
output "sum" { value = var.size + 1 }
"""
FAILS = """
variable "secrets" { type = list(string) }
variable "size" { type = number }
resource "terraform_data" "x" {
  provisioner "local-exec" { command = "echo ${join(" ", var.secrets)}; exit 1" }
}
"""
VARIABLES = {
    "secrets": '["{{ inputs.password }}", "{{ secrets.license }}", "{{ inputs.from_env }}", "{{ inputs.from_file }}"]',
    "size": "{{ inputs.size }}",
}
SENSITIVE = {
    "password": INPUT,
    "from_env": "ref+env://EXCLAVE_SECRET_X",
    "from_file": "ref+file:///db.json#/pw",
    "size": "ref+env://EXCLAVE_SECRET_SIZE",
    "unused": "ref+env://EXCLAVE_SECRET_NOT_THERE",
}


@pytest.fixture
def secretive(account: Customer, tmp_path: Path) -> tuple[Customer, X25519PrivateKey]:
    """The customer, whose agent has a sealing key and something to resolve references with."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "db.json").write_text(f'{{"pw": "{FROM_FILE}"}}')
    env = {"EXCLAVE_SECRET_X": FROM_ENV, "EXCLAVE_SECRET_SIZE": "41"}
    key = X25519PrivateKey.generate()
    site = dataclasses.replace(account.site, sealing_key=key, resolver=Resolver(env, ENV_PREFIX, folder))
    return dataclasses.replace(account, site=site), key


async def run(customer: Customer, key: X25519PrivateKey, kind: str, job_id: str, *, plan: str | None = None):  # type: ignore[no-untyped-def]
    """One job as the IMS sends it: its secrets sealed. The redactor is fresh, as for every attempt."""
    customer.secrets = Redactor()
    content = {"sensitive_inputs": SENSITIVE, "secrets": {"license": NAMED}}
    box = seal(key.public_key(), content, job_context(job_id, 1, "ins_1"))
    job = customer.job(kind, "talks", VARIABLES, plan=plan).model_copy(update={"sealed": box})
    wire = job.model_dump_json()
    assert not any(canary in wire for canary in CANARIES)
    await customer.build_with(job)
    return await InstallExecutor(customer.site).run(job, customer.context(job_id))


def leaked(customer: Customer, *more: str) -> list[str]:
    """Canaries in what would be sent: the log in one piece and in small ones, and other texts."""
    text = "\n".join(customer.log)
    stream = customer.secrets.stream()
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    sent = ["".join(map(stream.feed, pieces)) + stream.finish(), customer.secrets.text(text), *more]
    return [canary for canary in CANARIES if any(canary in one for one in sent)]


async def test_no_canary_leaves_in_a_log_a_summary_or_an_output(secretive: tuple[Customer, X25519PrivateKey]) -> None:
    customer, key = secretive
    await customer.build("talks", TALKS)
    await customer.sync("talks")
    planned = await run(customer, key, "plan", "job_1")
    assert isinstance(planned, PlanResult)
    assert any(FROM_FILE in change.address for change in planned.summary.resources), "the module puts them where all can see"
    assert leaked(customer, customer.secrets.result(planned).model_dump_json()) == []
    customer.log.clear()
    applied = await run(customer, key, "apply", "job_2", plan="job_1")
    assert isinstance(applied, ApplyResult)
    assert applied.outputs["sum"] == 42
    assert all(canary in "\n".join(customer.log) for canary in CANARIES), "the provisioner prints them"
    redacted = customer.secrets.result(applied)
    assert leaked(customer, redacted.model_dump_json()) == []


async def test_no_canary_leaves_in_a_failure(secretive: tuple[Customer, X25519PrivateKey]) -> None:
    customer, key = secretive
    await customer.build("talks", FAILS)
    await customer.sync("talks")
    await run(customer, key, "plan", "job_1")
    with pytest.raises(JobFailedError) as caught:
        await run(customer, key, "apply", "job_2", plan="job_1")
    assert any(canary in caught.value.failure.message for canary in CANARIES)
    assert leaked(customer, customer.secrets.failure(caught.value.failure).model_dump_json()) == []


async def test_a_reference_without_a_value_fails_before_anything_runs(secretive: tuple[Customer, X25519PrivateKey]) -> None:
    customer, key = secretive
    assert customer.site.resolver
    resolver = dataclasses.replace(customer.site.resolver, env={})
    customer = dataclasses.replace(customer, site=dataclasses.replace(customer.site, resolver=resolver))
    await customer.build("talks", TALKS)
    await customer.sync("talks")
    customer.log.clear()
    with pytest.raises(JobFailedError) as caught:
        await run(customer, key, "plan", "job_1")
    failure = customer.secrets.failure(caught.value.failure)
    assert failure.code == "secret_unresolved"
    assert "ref+env://EXCLAVE_SECRET_X" in failure.message
    assert customer.log == []


async def test_a_box_for_another_agent_or_job_is_refused(secretive: tuple[Customer, X25519PrivateKey]) -> None:
    customer, key = secretive
    await customer.build("talks", TALKS)
    for other_key, job_id in [(X25519PrivateKey.generate(), "job_1"), (key, "job_other")]:
        box = seal(other_key.public_key(), {"sensitive_inputs": {}, "secrets": {}}, job_context(job_id, 1, "ins_1"))
        job = customer.job("plan", "talks").model_copy(update={"sealed": box})
        with pytest.raises(JobFailedError) as caught:
            await InstallExecutor(customer.site).run(job, customer.context("job_1"))
        assert caught.value.failure.code == "secret_unreadable"
