"""Which objects are ready, by their kind."""

import pytest

from agent.kubernetes.objects import Obj
from agent.kubernetes.readiness import pod_trouble, readiness

APPS = {"apiVersion": "apps/v1"}
SEEN = {"observedGeneration": 1}


def obj(kind: str, api_version: str = "v1", spec: Obj | None = None, **status: object) -> Obj:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"generation": 1}, "spec": spec or {}, "status": status}


def condition(kind: str, status: str, **more: str) -> list[Obj]:
    return [{"type": kind, "status": status, **more}]


DAEMONS = {**SEEN, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3}
COUNTS = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        (obj("ConfigMap"), "ready", ""),
        (obj("Deployment", "apps/v1"), "progressing", "its controller has not yet seen it"),
        (obj("Deployment", "apps/v1", {"replicas": 2}, **COUNTS), "ready", ""),
        (obj("Deployment", "apps/v1", {"replicas": 3}, **COUNTS), "progressing", "2 of 3 replicas are of the new version"),
        (
            obj("Deployment", "apps/v1", {"replicas": 2}, **COUNTS | {"replicas": 3}),
            "progressing",
            "1 replicas of the old version",
        ),
        (
            obj("Deployment", "apps/v1", {"replicas": 2}, **COUNTS | {"availableReplicas": 1}),
            "progressing",
            "1 of 2 replicas are av",
        ),
        (
            obj(
                "Deployment", "apps/v1", **SEEN, conditions=condition("Progressing", "False", reason="ProgressDeadlineExceeded")
            ),
            "failed",
            "ProgressDeadlineExceeded",
        ),
        (obj("StatefulSet", "apps/v1", {"replicas": 2}, **COUNTS), "ready", ""),
        (
            obj("StatefulSet", "apps/v1", {"replicas": 2}, **COUNTS | {"readyReplicas": 0}),
            "progressing",
            "0 of 2 replicas are ready",
        ),
        (
            obj(
                "StatefulSet",
                "apps/v1",
                {"replicas": 2},
                **COUNTS | {"updatedReplicas": 1, "updateRevision": "b", "currentRevision": "a"},
            ),
            "progressing",
            "1 of 2 replicas are of the new version",
        ),
        (
            obj("DaemonSet", "apps/v1", **DAEMONS, numberReady=2),
            "progressing",
            "2 of 3 pods are ready",
        ),
        (obj("DaemonSet", "apps/v1", **SEEN, desiredNumberScheduled=0), "ready", ""),
        (obj("Job", "batch/v1", succeeded=1), "ready", ""),
        (obj("Job", "batch/v1", active=1), "progressing", "0 of 1 pods have succeeded"),
        (
            obj("Job", "batch/v1", conditions=condition("Failed", "True", reason="BackoffLimitExceeded")),
            "failed",
            "BackoffLimit",
        ),
        (obj("Pod", phase="Running", conditions=condition("Ready", "True")), "ready", ""),
        (obj("Pod", phase="Pending"), "progressing", "it is Pending"),
        (obj("Pod", phase="Failed"), "failed", "it has failed"),
        (obj("PersistentVolumeClaim", phase="Bound"), "ready", ""),
        (obj("PersistentVolumeClaim", phase="Lost"), "failed", "the claim is Lost"),
        (obj("Service", spec={"type": "LoadBalancer"}), "progressing", "the load balancer has no address yet"),
        (obj("Service", spec={"type": "ClusterIP"}), "ready", ""),
        (
            obj("CustomResourceDefinition", "apiextensions.k8s.io/v1", conditions=condition("Established", "True")),
            "ready",
            "",
        ),
        (
            obj("CustomResourceDefinition", "apiextensions.k8s.io/v1", conditions=condition("NamesAccepted", "False")),
            "failed",
            "its names are taken",
        ),
        (obj("Shelf", "example.com/v1", observedGeneration=0), "progressing", "its controller has not yet seen the change"),
        (obj("Shelf", "example.com/v1", conditions=condition("Ready", "False", message="no wood")), "progressing", "no wood"),
        (obj("Shelf", "example.com/v1", conditions=condition("Stalled", "True", reason="NoWood")), "failed", "NoWood"),
        (obj("Shelf", "example.com/v1", conditions=condition("Ready", "True")), "ready", ""),
        # A kind of the same name in another group is another kind.
        (obj("Service", "serving.example.com/v1", {"type": "LoadBalancer"}), "ready", ""),
    ],
)
def test_readiness_is_judged_by_kind(found: Obj, state: str, reason: str) -> None:
    seen = readiness(found)
    assert (seen.state, seen.reason[: len(reason)]) == (state, reason), seen
    assert bool(seen.reason) is not seen.ready


def test_the_trouble_of_a_pod_is_told_in_its_own_words() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": ""}}
    last = {"terminated": {"exitCode": 7}}
    pod = obj("Pod", containerStatuses=[{"name": "web", "state": waiting, "lastState": last}])
    assert pod_trouble(pod) == "container web: CrashLoopBackOff: the last run ended with exit code 7"
    unschedulable = obj("Pod", conditions=condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes"))
    assert pod_trouble(unschedulable) == "Unschedulable: 0/3 nodes"
    assert pod_trouble(obj("Pod", containerStatuses=[{"name": "web", "state": {"running": {}}}])) == ""
