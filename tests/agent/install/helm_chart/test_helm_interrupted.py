"""Charts where something goes wrong in the middle: killed programs, cancelled jobs, and what others did meanwhile."""

import asyncio
import base64
import contextlib
import gzip
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from charts import CONFIG_MAP, Cluster
from fake_kubernetes.asked import Asked
from fake_kubernetes.cluster import How
from test_install_helm import DEPLOYMENT, HOOK

from agent.cancellation import Cancellation, JobCancelledError
from agent.failure import JobFailedError

pytestmark = pytest.mark.anyio


def mark(cluster: Cluster, revision: int, status: str) -> None:
    """As a killed helm leaves its release."""

    def change(secret: Any) -> None:
        document = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
        document["info"]["status"] = secret["metadata"]["labels"]["status"] = status
        packed = base64.b64encode(gzip.compress(json.dumps(document).encode()))
        secret["data"]["release"] = base64.b64encode(packed).decode()

    cluster.kubernetes.cluster.edit("Secret", f"sh.helm.release.v1.web.v{revision}", change)


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(240):
        while not (found := condition()):  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.02)
        return found


@pytest.mark.parametrize("program", ["helm 4", "helm 3"], indirect=True)
@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback", "uninstalling"])
async def test_a_release_that_a_killed_helm_left_is_taken_up(cluster: Cluster, status: str) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    await cluster.deploy()
    mark(cluster, 1, status)
    assert ("release/web", ["update"], ["status"]) in await cluster.changes()
    await cluster.apply("job_again")
    assert cluster.history()[-1] == (2, "deployed")


async def applying(cluster: Cluster, cancellation: Cancellation | None = None) -> "asyncio.Task[Any]":
    """An apply whose hook goes on for ever, at that point."""
    cluster.kubernetes.controllers.set("Job", "migrate", after=None)
    apply = asyncio.create_task(cluster.apply(cancellation=cancellation))
    await until(lambda: apply.done() or cluster.kubernetes.cluster.find("Job", "migrate"))
    assert not apply.done()
    return apply


def helms(cluster: Cluster) -> list[int]:
    """The process ids of the helms that run with the cluster's kubeconfig."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and f"KUBECONFIG={cluster.kubeconfig}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended, or is another user's
    return found


async def test_an_apply_whose_helm_is_killed_ends_well_the_next_time(cluster: Cluster) -> None:
    await cluster.release({"templates/hook.yaml": HOOK, "templates/config.yaml": CONFIG_MAP}, closure="off")
    await cluster.plan()
    apply = await applying(cluster)
    for process in helms(cluster):
        with contextlib.suppress(ProcessLookupError):  # it has ended with the one that started it
            os.kill(process, signal.SIGKILL)
    with pytest.raises(JobFailedError):
        await apply
    assert cluster.history() == [(1, "pending-install")]
    cluster.kubernetes.controllers.set("Job", "migrate")
    await cluster.apply()
    assert cluster.history()[-1] == (2, "deployed")
    assert cluster.config_map() == {"colour": "red"}
    await cluster.apply()
    assert cluster.history()[-1] == (2, "deployed")


@pytest.mark.parametrize("program", ["helm 4", "helm 3"], indirect=True)
async def test_a_destruction_whose_helm_was_killed_ends_well_the_next_time(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    await cluster.deploy()
    await cluster.plan("plan_destroy", "job_end")
    mark(cluster, 1, "uninstalling")
    cluster.kubernetes.cluster.objects.pop(("", "configmaps", "default", "web"))
    await cluster.apply("job_end", "destroy")
    assert cluster.helm("list", "-o", "json") == []


@pytest.mark.parametrize("resource", ["secrets", "configmaps", "jobs"])
@pytest.mark.parametrize("upgrade", [False, True])
async def test_an_api_server_that_breaks_in_the_middle_of_helms_work_leaves_what_the_next_deploy_mends(
    cluster: Cluster, resource: str, upgrade: bool
) -> None:
    """`secrets` are helm's own records of the release; the job is a hook. From the first write of one on, all is 500."""
    files = {"templates/hook.yaml": HOOK, "templates/config.yaml": CONFIG_MAP}
    cluster.kubernetes.controllers.set("Job", "migrate")
    await cluster.release(files, closure="off")
    if upgrade:
        await cluster.deploy()
        await cluster.release({"values.yaml": "colour: blue\n"}, closure="off")
    await cluster.plan()
    broken = False

    def breaks(asked: Asked) -> int | None:
        nonlocal broken
        broken |= asked.verb in ("create", "update", "patch") and asked.resource == resource and "dryRun" not in asked.query
        return 500 if broken else None

    cluster.kubernetes.intercept = breaks
    with pytest.raises(JobFailedError) as caught:
        await cluster.apply()
    assert broken
    assert caught.value.failure.remedy, caught.value.failure
    cluster.kubernetes.intercept = lambda asked: None
    await cluster.deploy()
    assert cluster.history()[-1][1] == "deployed"
    assert cluster.config_map() == {"colour": "blue" if upgrade else "red"}
    assert (await cluster.plan(job_id="job_same")).summary.empty
    assert helms(cluster) == []


async def test_a_cancelled_apply_stops_helm_in_order(cluster: Cluster) -> None:
    await cluster.release({"templates/hook.yaml": HOOK}, closure="off")
    await cluster.plan()
    cancellation = Cancellation()
    apply = await applying(cluster, cancellation)
    cancellation.request("graceful")
    with pytest.raises(JobCancelledError):
        await apply
    assert helms(cluster) == []
    assert cluster.history() == [(1, "failed")]


async def test_a_helm_whose_agent_is_killed_stops(cluster: Cluster) -> None:
    """The task stands for the agent: nothing of helm outlives it."""
    await cluster.release({"templates/hook.yaml": HOOK}, closure="off")
    await cluster.plan()
    apply = await applying(cluster)
    apply.cancel()
    with pytest.raises(asyncio.CancelledError):
        await apply
    assert helms(cluster) == []
    cluster.kubernetes.controllers.set("Job", "migrate")
    await cluster.apply()
    assert cluster.history()[-1][1] == "deployed"


async def test_a_release_that_somebody_else_moved_needs_a_new_plan(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    await cluster.plan()
    cluster.helm("install", "web", str(cluster.source))
    with pytest.raises(JobFailedError) as failed:
        await cluster.apply()
    assert failed.value.failure.code == "plan_stale"
    assert cluster.history() == [(1, "deployed")]


async def test_a_plan_that_was_changed_is_not_applied(cluster: Cluster) -> None:
    """`saved-plan`."""
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    await cluster.plan()
    file = cluster.account.home("web") / "plans" / "job_plan" / "plan"
    assert file.stat().st_mode & 0o077 == 0
    file.write_text(json.dumps(json.loads(file.read_text()) | {"namespace": "kube-system"}))
    with pytest.raises(JobFailedError) as failed:
        await cluster.apply()
    assert failed.value.failure.code == "plan_changed"
    assert cluster.kubernetes.writes() == []


async def test_a_release_does_not_move_to_another_name(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    await cluster.deploy()
    await cluster.release({}, namespace="kube-system")
    with pytest.raises(JobFailedError) as failed:
        await cluster.plan(job_id="job_again")
    assert (failed.value.failure.code, failed.value.failure.field) == ("release_moved", "config.namespace")


async def test_a_deleted_object_is_made_again(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    await cluster.deploy()
    cluster.kubernetes.cluster.objects.pop(("", "configmaps", "default", "web"))
    assert await cluster.changes() == [("ConfigMap/default/web", ["create"], [])]
    await cluster.apply("job_again")
    assert cluster.config_map() == {"colour": "red"}


async def test_what_belongs_to_others_is_only_taken_where_the_vendor_says_so(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    resource = cluster.kubernetes.cluster.of("ConfigMap")
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"colour": "green"}}
    cluster.kubernetes.cluster.create(resource, other, "default", How("kubectl"))
    with pytest.raises(JobFailedError) as failed:
        await cluster.plan()
    assert "ConfigMap" in failed.value.failure.message
    await cluster.release({}, take_ownership=True)
    ((address, actions, fields),) = await cluster.changes("job_plan")
    assert (address, actions, fields[0]) == ("ConfigMap/default/web", ["update"], "data.colour")
    await cluster.apply()
    assert cluster.config_map() == {"colour": "red"}


async def test_a_namespace_is_made_for_the_release(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP}, namespace="shop")
    assert await cluster.changes("job_plan") == [("ConfigMap/shop/web", ["create"], [])]
    await cluster.apply()
    assert cluster.kubernetes.cluster.find("ConfigMap", "web", "shop") is not None
    assert await cluster.changes() == []


async def test_a_failing_first_install_leaves_nothing_if_it_is_atomic(cluster: Cluster) -> None:
    await cluster.release({"templates/hook.yaml": HOOK, "templates/config.yaml": CONFIG_MAP}, closure="off", atomic=True)
    cluster.kubernetes.controllers.set("Job", "migrate", fails=True)
    with pytest.raises(JobFailedError):
        await cluster.deploy()
    assert cluster.helm("list", "-o", "json") == []
    cluster.kubernetes.controllers.set("Job", "migrate")
    await cluster.plan(job_id="job_again")
    await cluster.apply("job_again")
    assert cluster.config_map() == {"colour": "red"}


async def test_an_apply_waits_until_what_it_runs_is_ready(cluster: Cluster) -> None:
    await cluster.release({"templates/web.yaml": DEPLOYMENT}, closure="off", timeout=6)
    cluster.kubernetes.controllers.set("Deployment", "web", after=None, reason="ImagePullBackOff")
    with pytest.raises(JobFailedError) as failed:
        await cluster.deploy()
    assert failed.value.failure.code == "apply_failed"
    assert "web" in failed.value.failure.message


@pytest.mark.parametrize("wrong", ["/nonexistent/helm", "/bin/true"])
async def test_a_machine_without_helm(cluster: Cluster, wrong: str) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    cluster.account.site = replace(cluster.account.site, env={**cluster.account.site.env, "EXCLAVE_HELM": wrong})
    with pytest.raises(JobFailedError) as failed:
        await cluster.plan()
    assert failed.value.failure.code == "helm_not_found"
    assert failed.value.failure.remedy


async def test_an_agent_without_a_cluster(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP})
    cluster.account.site = replace(cluster.account.site, kubeconfig=None)
    with pytest.raises(JobFailedError) as failed:
        await cluster.plan()
    assert failed.value.failure.code == "no_cluster"
