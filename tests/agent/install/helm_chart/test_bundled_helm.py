"""The helm that rides in a chart's artifact: used where the machine has none, and the customer names none."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from charts import CONFIG_MAP, Cluster
from helm_program import helm

from agent.failure import JobFailedError
from agent.install.helm_chart.artifact import helm_of
from agent.install.helm_chart.program import find_helm

pytestmark = pytest.mark.anyio


def without_helm(cluster: Cluster, tmp_path: Path) -> None:
    """The customer's machine has no helm at all."""
    account = cluster.account
    nothing = tmp_path / "bin"
    nothing.mkdir()
    env = {name: value for name, value in account.site.env.items() if name != "EXCLAVE_HELM"}
    account.site = replace(account.site, env={**env, "PATH": str(nothing)})


async def test_a_chart_that_brings_its_helm_is_deployed_changed_and_destroyed_by_it(cluster: Cluster, tmp_path: Path) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP}, closure="off", bundle_helm=True)
    without_helm(cluster, tmp_path)
    await cluster.deploy()
    assert cluster.history() == [(1, "deployed")]
    workspace = cluster.account.site.components.of("web")
    program = helm_of(workspace)
    assert program.read_bytes() == Path(helm()).resolve().read_bytes()
    assert program.stat().st_mode & 0o777 == 0o700
    began = program.stat().st_mtime_ns
    assert (await cluster.plan(job_id="job_same")).summary.empty
    assert program.stat().st_mtime_ns == began, "it is fetched once"
    await cluster.plan("plan_destroy", "job_end")
    await cluster.apply("job_end", "destroy")
    assert cluster.helm("list", "-o", "json") == []
    assert not program.exists()


async def test_without_it_the_remedy_names_it_and_it_goes_when_the_chart_no_longer_brings_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP}, closure="off", bundle_helm=True)
    await cluster.plan()
    program = helm_of(cluster.account.site.components.of("web"))
    assert program.is_file()
    await cluster.release({"values.yaml": "colour: blue\n"}, closure="off")
    await cluster.plan(job_id="job_without")
    assert not program.exists()
    without_helm(cluster, tmp_path)
    with pytest.raises(JobFailedError) as caught:
        await cluster.plan(job_id="job_none")
    assert caught.value.failure.code == "helm_not_found"
    assert "bundle_helm" in caught.value.failure.remedy


async def test_a_helm_that_the_customer_names_comes_first(tmp_path: Path) -> None:
    bundled = tmp_path / "helm"
    bundled.write_text("#!/bin/sh\necho no helm\n")
    bundled.chmod(0o700)
    found = await find_helm({"PATH": os.environ["PATH"], "EXCLAVE_HELM": helm()}, bundled)
    assert found.path == Path(helm()).absolute()


async def test_what_starts_a_helm_but_is_none_does_not_travel(cluster: Cluster, tmp_path: Path) -> None:
    wrapper = tmp_path / "helm"
    wrapper.write_text(f'#!/bin/sh\nexec {helm()} "$@"\n')
    wrapper.chmod(0o700)
    account = cluster.account
    account.site = replace(account.site, env={**account.site.env, "EXCLAVE_HELM": str(wrapper)})
    with pytest.raises(JobFailedError) as caught:
        await cluster.release({"templates/config.yaml": CONFIG_MAP}, closure="off", bundle_helm=True)
    assert (caught.value.failure.code, caught.value.failure.field) == ("helm_not_found", "config.bundle_helm")
