"""A deployed component's health: Terraform's own checks and the vendor's probes, after an apply and in a drift run."""

from pathlib import Path
from typing import Any

import pytest
from customer import Customer

from api.contract.agents import ApplyResult, PlanResult
from api.contract.component_health import ComponentHealth
from api.contract.probes import Probe

pytestmark = pytest.mark.anyio

SECRET = "canary-7f3e-staple"
CHECKED = """
variable "flag" { type = string }
resource "terraform_data" "web" {}
check "flag" {
  assert {
    condition     = !fileexists(var.flag)
    error_message = "the flag is up"
  }
}
check "always" {
  assert {
    condition     = terraform_data.web.id != ""
    error_message = "never"
  }
}
output "port" { value = 1 }
output "password" {
  value     = "canary-7f3e-staple"
  sensitive = true
}
"""
PROBES = {"port": Probe(tcp="127.0.0.1:{{ self.outputs.port }}", attempts=1)}
LEAKY = {"leaky": Probe(http="http://127.0.0.1:1/{{ self.outputs.password | upper }}{{ self.outputs.port.x }}", attempts=1)}


async def run(customer: Customer, kind: str, flag: Path, *, job_id: str, plan: str | None = None, **changes: Any) -> Any:
    job = customer.job(kind, "web", {"flag": str(flag)}, plan=plan)
    probes = changes.pop("probes", PROBES)
    job = job.model_copy(update={"config": job.config.model_copy(update={"probes": probes}), **changes})
    return await customer.run(job, job_id)


async def apply(customer: Customer, flag: Path, **changes: Any) -> ComponentHealth:
    planned = await run(customer, "plan", flag, job_id="job_plan", **changes)
    assert isinstance(planned, PlanResult)
    applied = await run(customer, "apply", flag, job_id="job_apply", plan="job_plan", **changes)
    assert isinstance(applied, ApplyResult)
    assert applied.health
    return applied.health


def statuses(health: ComponentHealth | None) -> dict[str, str]:
    return {check.name: check.status for check in health.checks} if health else {}


@pytest.fixture
async def web(account: Customer) -> Customer:
    await account.build("web", CHECKED)
    await account.sync("web")
    return account


async def test_checks_and_probes_are_told_after_the_apply_and_nothing_of_them_ends_it(web: Customer, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    health = await apply(web, flag, probes={})
    assert (health.status, statuses(health)) == ("healthy", {"check.flag": "healthy", "check.always": "healthy"})
    flag.touch()
    looked = await run(web, "plan", flag, job_id="job_look", look_at_health=True)
    assert looked.health.status == "degraded"
    assert statuses(looked.health) == {"check.flag": "degraded", "probe.port": "degraded", "check.always": "healthy"}
    assert "check.flag: the flag is up; probe.port: can't be reached" in looked.health.reason


async def test_a_first_plan_says_nothing_and_one_that_changes_nothing_says_how_it_is(web: Customer, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    first = await run(web, "plan", flag, job_id="job_1", look_at_health=True)
    assert first.health is None
    health = await apply(web, flag)
    assert statuses(health)["probe.port"] == "degraded"
    again = await run(web, "plan", flag, job_id="job_2")
    assert again.summary.empty
    assert statuses(again.health) == statuses(health)
    destroy = await run(web, "plan_destroy", flag, job_id="job_4")
    assert destroy.health is None


async def test_what_a_probe_cannot_tell_is_unknown_and_no_secret_is_told(web: Customer, tmp_path: Path) -> None:
    health = await apply(web, tmp_path / "flag", probes=LEAKY)
    assert (health.status, statuses(health)["probe.leaky"]) == ("unknown", "unknown")
    said = web.secrets.text("\n".join(web.log)) + health.model_dump_json()
    assert SECRET not in said
    assert SECRET.upper() not in said
