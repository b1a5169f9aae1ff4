"""What the customer's rules see of a chart, whose release it is, and how it is."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from charts import CONFIG_MAP, Cluster
from images import push_image
from registry_server import RegistryServer
from test_install_helm import DEPLOYMENT, HOOK

from agent.failure import JobFailedError
from api.contract.base import Json

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[4] / "terraform" / "examples" / "helm-chart"


def judged(cluster: Cluster, job_id: str) -> list[Any]:
    """The objects that the rules were shown."""
    file = cluster.account.site.components.of("web").plan(job_id).objects
    objects: list[Any] = json.loads(file.read_bytes())["objects"]
    return objects


async def test_the_rules_see_every_object_and_every_hook_that_would_run(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP, "templates/hook.yaml": HOOK}, closure="off")
    await cluster.plan()
    seen = [(each["address"], each["action"], each["after"]["kind"]) for each in judged(cluster, "job_plan")]
    assert seen == [("ConfigMap/default/web", "create", "ConfigMap"), ("Job/default/migrate", "create", "Job")]
    await cluster.apply()
    await cluster.release({"templates/more.yaml": CONFIG_MAP.replace("{{ .Release.Name }}", "more")}, closure="off")
    await cluster.plan(job_id="job_again")
    assert [each["address"] for each in judged(cluster, "job_again")] == ["ConfigMap/default/more", "Job/default/migrate"]


async def test_the_rules_see_what_an_object_was_and_would_be(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    await cluster.deploy()
    await cluster.release({}, values={"colour": "blue"})
    await cluster.plan(job_id="job_again")
    (each,) = judged(cluster, "job_again")
    assert (each["action"], each["before"]["data"], each["after"]["data"]) == ("update", {"colour": "red"}, {"colour": "blue"})


async def test_nothing_is_judged_where_nothing_would_be_done(cluster: Cluster) -> None:
    await cluster.release({"templates/hook.yaml": HOOK}, closure="off")
    await cluster.deploy()
    await cluster.plan(job_id="job_again")
    assert judged(cluster, "job_again") == []


async def test_a_release_of_others_is_neither_upgraded_nor_destroyed(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    cluster.helm("install", "web", str(cluster.source))
    with pytest.raises(JobFailedError) as failed:
        await cluster.plan()
    assert failed.value.failure.code == "release_taken"
    assert (await cluster.plan("plan_destroy", "job_end")).summary.empty
    await cluster.apply("job_end", "destroy")
    assert cluster.history() == [(1, "deployed")]


async def test_a_release_of_others_becomes_the_components_where_the_vendor_says_so(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP}, take_ownership=True)
    cluster.helm("install", "web", str(cluster.source))
    await cluster.deploy()
    assert cluster.history() == [(1, "superseded"), (2, "deployed")]


async def test_an_agent_that_lost_its_folder_still_knows_its_release(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    await cluster.deploy()
    cluster.account.site.components.of("web").remove()
    assert (await cluster.plan("plan_destroy", "job_end")).summary.destroy == 1
    await cluster.apply("job_end", "destroy")
    assert cluster.kubernetes.cluster.find("ConfigMap", "web") is None


async def test_the_health_of_a_release(cluster: Cluster) -> None:
    await cluster.release({"templates/web.yaml": DEPLOYMENT, "templates/config.yaml": CONFIG_MAP}, closure="off")
    applied = await cluster.deploy()
    assert applied.health is not None
    assert [(each.name, each.status) for each in applied.health.checks] == [
        ("release/web", "healthy"),
        ("Deployment/default/web", "healthy"),
    ]
    cluster.kubernetes.controllers.set("Deployment", "web", after=None)
    cluster.kubernetes.cluster.edit("Deployment", "web", lambda obj: obj["spec"].update(paused=None, minReadySeconds=1))
    looked = await cluster.plan(job_id="job_drift")
    assert looked.health is not None
    assert (looked.health.status, looked.health.checks[0].name) == ("degraded", "Deployment/default/web")


async def test_the_example_can_be_deployed(cluster: Cluster, debian: RegistryServer) -> None:
    """Its chart with its values, and an image of the test's own."""
    await push_image(debian, "library/nginx", "1.27")
    text = (EXAMPLE / "main.tf").read_text()
    assert 'replicas = "2"' in text
    shutil.copytree(EXAMPLE / "chart", cluster.source)
    values = {
        "greeting": "{{ inputs.greeting }} from {{ install.name }}",
        "apiKey": "{{ inputs.api_key }}",
        "replicas": "2",
        "image.repository": f"{debian.url.removeprefix('http://')}/library/nginx",
    }
    await cluster.release({}, values=values, namespace="greeter", atomic=True, timeout=300)
    given: dict[str, dict[str, Json]] = {"inputs": {"greeting": "Hello"}, "sensitive": {"api_key": "key-of-acme"}}
    applied = await cluster.deploy(**given)
    assert applied.outputs["app_version"] == "1.27"
    page = cluster.kubernetes.cluster.find("ConfigMap", "web", "greeter")
    deployment = cluster.kubernetes.cluster.find("Deployment", "web", "greeter")
    assert page is not None
    assert deployment is not None
    assert page["data"]["index.html"] == "Hello from acme"
    assert deployment["spec"]["replicas"] == 2
    assert (
        await cluster.plan(job_id="job_again", inputs={"greeting": "Hello"}, sensitive={"api_key": "key-of-acme"})
    ).summary.empty
