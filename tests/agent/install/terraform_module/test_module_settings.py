"""What a component's config asks of the engine, on a real one: environment, files of variables, parallelism; moves, imports."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from customer import Customer
from pydantic import ValidationError
from small_modules import NETWORK, failure_of

from agent.engine.run import Ended, run
from agent.policy.document import PolicyDocument
from agent.policy.policy import Policy
from api.contract.agents import ApplyResult, DeployJob, JobResult, PlanResult
from api.contract.components import PathSource, Source, TerraformModuleConfig
from api.contract.replans import Replan

pytestmark = pytest.mark.anyio
HUGE = 2**70 + 1


def config(**fields: Any) -> TerraformModuleConfig:
    return TerraformModuleConfig(source=Source(path=PathSource(path="unused")), **fields)


def job_of(account: Customer, kind: str, component: str, *, plan: str | None = None, **fields: Any) -> DeployJob:
    more = {name: fields.pop(name) for name in ("inputs", "sensitive") if name in fields}
    return account.job(kind, component, plan=plan, **more).model_copy(update={"config": config(**fields)})


async def deploy(account: Customer, component: str, **fields: Any) -> JobResult:
    await account.sync(component)
    await account.run(job_of(account, "plan", component, **fields), "job_plan")
    without = {name: value for name, value in fields.items() if name not in ("inputs", "sensitive")}
    return await account.run(job_of(account, "apply", component, plan="job_plan", **without), "job_apply")


async def test_the_engine_gets_the_components_environment_at_plan_and_apply(account: Customer, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"echo $SERVICE_REGION $SERVICE_TOKEN $HOME >> {said}"
    await account.build("env", f'resource "terraform_data" "x" {{\n  provisioner "local-exec" {{ command = "{script}" }}\n}}\n')
    environment = {"SERVICE_REGION": "{{ inputs.region }}", "SERVICE_TOKEN": "{{ inputs.token }}", "HOME": "/vendor"}
    inputs = {"inputs": {"region": "eu"}, "sensitive": {"token": "canary-4711"}}
    await deploy(account, "env", environment=environment, **inputs)
    assert said.read_text() == f"eu canary-4711 {os.environ['HOME']}\n"
    assert "canary-4711" not in account.secrets.text("\n".join(account.log))


async def test_a_modules_programs_see_nothing_of_the_agents_own_environment(account: Customer, tmp_path: Path) -> None:
    said = tmp_path / "said"
    secret = {
        "EXCLAVE_AGENT_TOKEN": "canary-1",
        "EXCLAVE_SECRET_DB": "canary-2",
        "TF_TOKEN_x": "canary-3",
        "GITHUB_TOKEN": "canary-4",
    }
    passed = {"HTTPS_PROXY": "http://proxy.test:3128", "NO_PROXY": "10.0.0.0/8", "SSL_CERT_FILE": "/etc/ssl/own.pem"}
    account.site = replace(account.site, env={**os.environ, **secret, **passed})
    script = f"tr '\\\\0' '\\\\n' < /proc/self/environ > {said}"
    await account.build(
        "nosy", f'resource "terraform_data" "x" {{\n  provisioner "local-exec" {{ command = "{script}" }}\n}}\n'
    )
    await account.deploy("nosy")
    seen = dict(line.partition("=")[::2] for line in said.read_text().splitlines() if "=" in line)
    assert {name: seen.get(name) for name in passed} == passed
    assert not set(secret) & set(seen)
    assert "canary" not in said.read_text()


async def test_an_environment_variable_without_a_value_stops_the_plan(account: Customer) -> None:
    await account.build("env", NETWORK)
    await account.sync("env")
    refused = await failure_of(account.run(job_of(account, "plan", "env", environment={"A": "{{ inputs.none }}"})))
    assert (refused.code, refused.field) == ("unresolved_reference", "config.environment.A")


@pytest.mark.parametrize(
    "fields",
    [
        {"environment": {"TF_LOG": "trace"}},
        {"environment": {"LD_PRELOAD": "x"}},
        {"environment": {"A=B": "x"}},
        {"var_files": ["../x.tfvars"]},
        {"var_files": ["/etc/passwd"]},
        {"var_files": ["-x"]},
        {"parallelism": 0},
        {"timeout": 0},
    ],
)
def test_settings_that_reach_beyond_the_module_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**fields)


async def test_files_of_variables_give_values_and_variables_win(account: Customer) -> None:
    folder = account.folder / "source" / "files"
    folder.mkdir(parents=True)
    (folder / "a.tfvars").write_text('first = "a"\nsecond = "a"\nthird = "a"\n')
    (folder / "b.tfvars.json").write_text(json.dumps({"second": "b", "third": "b"}))
    declared = "".join(f'variable "{name}" {{ type = string }}\n' for name in ("first", "second", "third"))
    await account.build("files", declared + 'output "all" { value = "${var.first}${var.second}${var.third}" }\n')
    fields: dict[str, Any] = {"var_files": ["a.tfvars", "b.tfvars.json"], "variables": {"third": "c"}}
    applied = await deploy(account, "files", parallelism=1, **fields)
    assert applied.outputs == {"all": "abc"}
    missing = await failure_of(account.run(job_of(account, "plan", "files", var_files=["c.tfvars"])))
    assert (missing.code, missing.field) == ("var_file_missing", "config.var_files")


async def test_a_component_says_how_long_its_plan_and_apply_may_take(
    account: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    async def noted(*arguments: Any, timeout: float) -> Ended:
        limits.append(timeout)
        return await run(*arguments, timeout=timeout)

    monkeypatch.setattr("agent.install.terraform_module.deployer.run", noted)
    await account.build("network", NETWORK)
    await deploy(account, "network", variables={"cidr": "a"}, timeout=1200)
    await deploy(account, "network", variables={"cidr": "b"})
    assert limits == [1200, 1200, 3600, 6 * 3600]


async def test_a_move_and_an_import_are_told_and_change_nothing_else(account: Customer) -> None:
    await account.build("moving", 'resource "terraform_data" "old" { input = "kept" }\n')
    await account.deploy("moving")
    await account.build(
        "moving",
        'resource "terraform_data" "new" { input = "kept" }\n'
        "moved {\n  from = terraform_data.old\n  to = terraform_data.new\n}\n"
        'resource "terraform_data" "found" {}\nimport {\n  to = terraform_data.found\n  id = "id-of-before"\n}\n',
    )
    await account.sync("moving")
    planned = await account.run(account.job("plan", "moving"), "job_plan")
    told = {change.address: (change.actions, change.previous_address) for change in planned.summary.resources}
    assert told == {
        "terraform_data.new": (["move"], "terraform_data.old"),
        "terraform_data.found": (["import"], None),
    }
    assert (planned.summary.add, planned.summary.change, planned.summary.destroy) == (0, 2, 0)
    await account.run(account.job("apply", "moving", plan="job_plan"), "job_apply")
    assert account.site.states
    stored = account.site.states.of("moving").load()
    assert stored
    assert sorted(each["name"] for each in json.loads(stored.state)["resources"]) == ["found", "new"]
    again = await account.run(account.job("plan", "moving"), "job_again")
    assert again.summary.empty


async def test_values_in_a_plan_are_told_only_where_the_customer_says_so(account: Customer) -> None:
    source = """
variable "name" { type = string }
variable "key" {
  type      = string
  sensitive = true
}
resource "terraform_data" "x" {
  input            = "url=${var.name}&key=${nonsensitive(var.key)}"
  triggers_replace = var.name
}
"""
    await account.build("told", source)
    await account.sync("told")
    fields: dict[str, Any] = {"variables": {"name": "web-1", "key": "{{ inputs.key }}"}, "sensitive": {"key": "canary-4711"}}
    silent = await account.run(job_of(account, "plan", "told", **fields), "job_1")
    assert silent.summary.resources[0].values == {}

    account.site = replace(account.site, policy=Policy(PolicyDocument(version=1, plan_values="redacted")))
    (account.site.approvals.home / "policy.yaml").write_text("version: 1\nplan_values: redacted\n")
    told = await account.run(job_of(account, "plan", "told", **fields), "job_2")
    values = account.secrets.result(told).summary.resources[0].values  # type: ignore[union-attr]
    assert values["triggers_replace"].after == '"web-1"'
    assert values["input"].after == '"url=web-1&key=(sensitive)"'
    assert values["id"].unknown


async def test_numbers_of_any_size_go_from_one_component_to_another(account: Customer) -> None:
    await account.build(
        "counter", 'variable "n" { type = number }\noutput "n" { value = var.n }\noutput "none" { value = null }\n'
    )
    await account.build("reader", 'variable "n" { type = number }\noutput "next" { value = var.n + 1 }\n')
    first = await deploy(account, "counter", variables={"n": str(HUGE)})
    assert first.outputs == {"n": HUGE}
    second = await deploy(account, "reader", variables={"n": "{{ components.counter.outputs.n }}"})
    assert second.outputs == {"next": HUGE + 1}
    assert type(first).model_validate_json(first.model_dump_json()) == first


PARTS = """
resource "terraform_data" "one" { input = var.text }
resource "terraform_data" "two" { input = var.text }
variable "text" { default = "a" }
"""


async def test_a_plan_in_part_touches_nothing_else_and_a_replaced_resource_is_made_anew(account: Customer) -> None:
    await account.build("parts", PARTS)
    await deploy(account, "parts")

    async def planned(**fields: Any) -> list[tuple[str, list[str]]]:
        job = job_of(account, "plan", "parts", variables={"text": fields.pop("text", "a")})
        result = await account.run(job.model_copy(update={"replan": Replan(component="parts", **fields)}), "job_part")
        assert isinstance(result, PlanResult)
        return [(change.address, change.actions) for change in result.summary.resources]

    assert await planned(text="b", targets=["terraform_data.one"]) == [("terraform_data.one", ["update"])]
    assert await planned(replace=["terraform_data.two"]) == [("terraform_data.two", ["delete", "create"])]
    assert await planned() == []
    failure = await failure_of(planned(targets=["not an address"]))
    assert failure.code == "plan_failed"


async def test_a_fraction_that_a_float_would_round_stays_as_the_engine_wrote_it(account: Customer) -> None:
    fraction = "0.12345678901234567890123456789"
    await account.build("numbers", f'output "long" {{ value = {fraction} }}\noutput "short" {{ value = 0.25 }}\n')
    result = await deploy(account, "numbers")
    assert isinstance(result, ApplyResult)
    assert result.outputs == {"long": fraction, "short": 0.25}
    await account.build("taker", 'variable "n" { type = number }\noutput "same" { value = tostring(var.n) }\n')
    taken = await deploy(account, "taker", variables={"n": "{{ components.numbers.outputs.long }}"})
    assert isinstance(taken, ApplyResult)
    assert taken.outputs == {"same": fraction}
