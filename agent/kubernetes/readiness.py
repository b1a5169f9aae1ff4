"""Whether an object does what it is for, by its kind: a pure function of what the API server says of it.

What is read is in the API reference of each kind. A kind that isn't known here is asked by the conventions that controllers
follow ("API conventions", typical status properties): `observedGeneration`, and the conditions `Ready` and `Stalled`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agent.kubernetes.objects import Obj, metadata, status
from api.contract.base import Json

State = Literal["ready", "progressing", "failed"]


@dataclass(frozen=True)
class Readiness:
    """`failed`: it won't become ready by itself. `reason` is in plain words, and empty where it is ready."""

    state: State
    reason: str = ""

    @property
    def ready(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.state == "ready"


READY = Readiness("ready")


def readiness(obj: Obj) -> Readiness:
    """How far an object is."""
    if "deletionTimestamp" in metadata(obj):
        return Readiness("failed", "it is being deleted")
    observed = status(obj).get("observedGeneration")
    if observed is not None and observed < metadata(obj).get("generation", 0):
        return Readiness("progressing", "its controller has not yet seen the change")
    group = str(obj.get("apiVersion", "")).rpartition("/")[0]
    check = _BY_KIND.get((group, str(obj.get("kind"))), _by_convention)
    return check(obj)


def _deployment(obj: Obj) -> Readiness:
    spec, now = _spec(obj), status(obj)
    if now.get("observedGeneration") is None:
        return _unseen()
    if spec.get("paused"):
        return READY
    progress = _condition(obj, "Progressing")
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return Readiness("failed", _said(progress, "its progress deadline is exceeded"))
    wanted = spec.get("replicas", 1)
    return (
        _counted(now, "updatedReplicas", wanted, "replicas are of the new version")
        or _old_ones(now)
        or _counted(now, "availableReplicas", wanted, "replicas are available")
        or READY
    )


def _old_ones(now: Obj) -> Readiness | None:
    old = now.get("replicas", 0) - now.get("updatedReplicas", 0)
    return Readiness("progressing", f"{old} replicas of the old version are still there") if old > 0 else None


def _stateful_set(obj: Obj) -> Readiness:
    spec, now = _spec(obj), status(obj)
    if now.get("observedGeneration") is None:
        return _unseen()
    wanted = spec.get("replicas", 1)
    strategy = spec.get("updateStrategy") or {}
    ready = _counted(now, "readyReplicas", wanted, "replicas are ready") or READY
    if strategy.get("type") == "OnDelete":
        return ready
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    if now.get("updateRevision") == now.get("currentRevision"):
        return ready
    return _counted(now, "updatedReplicas", max(wanted - partition, 0), "replicas are of the new version") or ready


def _daemon_set(obj: Obj) -> Readiness:
    now = status(obj)
    if now.get("observedGeneration") is None:
        return _unseen()
    wanted = now.get("desiredNumberScheduled", 0)
    ready = _counted(now, "numberReady", wanted, "pods are ready") or READY
    if (_spec(obj).get("updateStrategy") or {}).get("type") == "OnDelete":
        return ready
    return _counted(now, "updatedNumberScheduled", wanted, "pods are of the new version") or ready


def _replica_set(obj: Obj) -> Readiness:
    now = status(obj)
    return _counted(now, "readyReplicas", _spec(obj).get("replicas", 1), "replicas are ready") or READY


def _job(obj: Obj) -> Readiness:
    failed = _condition(obj, "Failed")
    if failed.get("status") == "True":
        return Readiness("failed", _said(failed, "it has failed"))
    if _condition(obj, "Complete").get("status") == "True" or _spec(obj).get("suspend"):
        return READY
    wanted = _spec(obj).get("completions") or 1
    return _counted(status(obj), "succeeded", wanted, "pods have succeeded") or READY


def _pod(obj: Obj) -> Readiness:
    phase = status(obj).get("phase", "Pending")
    if phase == "Succeeded" or (phase == "Running" and _condition(obj, "Ready").get("status") == "True"):
        return READY
    if phase == "Failed":
        return Readiness("failed", pod_trouble(obj) or str(status(obj).get("message") or "it has failed"))
    return Readiness("progressing", pod_trouble(obj) or f"it is {phase}")


def _claim(obj: Obj) -> Readiness:
    phase = status(obj).get("phase", "Pending")
    if phase == "Bound":
        return READY
    return Readiness("failed" if phase == "Lost" else "progressing", f"the claim is {phase}")


def _service(obj: Obj) -> Readiness:
    if _spec(obj).get("type") != "LoadBalancer" or (status(obj).get("loadBalancer") or {}).get("ingress"):
        return READY
    return Readiness("progressing", "the load balancer has no address yet")


def _definition(obj: Obj) -> Readiness:
    names = _condition(obj, "NamesAccepted")
    if names.get("status") == "False":
        return Readiness("failed", _said(names, "its names are taken"))
    if _condition(obj, "Established").get("status") == "True":
        return READY
    return Readiness("progressing", "the API server doesn't serve it yet")


def _namespace(obj: Obj) -> Readiness:
    return READY if status(obj).get("phase", "Active") == "Active" else Readiness("failed", "it is being deleted")


def _api_service(obj: Obj) -> Readiness:
    available = _condition(obj, "Available")
    return READY if available.get("status") == "True" else Readiness("progressing", _said(available, "it isn't available"))


def _by_convention(obj: Obj) -> Readiness:
    stalled = _condition(obj, "Stalled")
    if stalled.get("status") == "True":
        return Readiness("failed", _said(stalled, "it is stalled"))
    ready = _condition(obj, "Ready")
    if ready and ready.get("status") != "True":
        return Readiness("progressing", _said(ready, "its condition Ready isn't true"))
    if _condition(obj, "Reconciling").get("status") == "True":
        return Readiness("progressing", "its controller is at work on it")
    return READY


_BY_KIND: dict[tuple[str, str], Callable[[Obj], Readiness]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("", "ReplicationController"): _replica_set,
    ("batch", "Job"): _job,
    ("", "Pod"): _pod,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Service"): _service,
    ("", "Namespace"): _namespace,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
}


def pod_trouble(pod: Obj) -> str:
    """Why a pod doesn't run, in words: `container web: ImagePullBackOff: …`. Empty if nothing is known to be wrong."""
    now = status(pod)
    for each in [*(now.get("initContainerStatuses") or []), *(now.get("containerStatuses") or [])]:
        state = each.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason") and waiting["reason"] not in ("ContainerCreating", "PodInitializing"):
            last = ((each.get("lastState") or {}).get("terminated") or {}).get("exitCode")
            text = waiting.get("message") or ("" if last is None else f"the last run ended with exit code {last}")
            return f"container {each.get('name')}: " + ": ".join(filter(None, (waiting["reason"], text)))
        if ended.get("exitCode"):
            return f"container {each.get('name')} ended with exit code {ended['exitCode']}"
    for condition in now.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _said(condition, "no node can run it")
    return ""


def _spec(obj: Obj) -> Obj:
    spec: Obj = obj.get("spec") or {}
    return spec


def _condition(obj: Obj, kind: str) -> Obj:
    found: list[Obj] = [each for each in status(obj).get("conditions") or [] if each.get("type") == kind]
    return found[0] if found else {}


def _said(condition: Obj, otherwise: str) -> str:
    """A condition in words."""
    parts = [str(condition.get(name)) for name in ("reason", "message") if condition.get(name)]
    return ": ".join(parts) or otherwise


def _unseen() -> Readiness:
    return Readiness("progressing", "its controller has not yet seen it")


def _counted(now: Obj, field: str, wanted: Json, what: str) -> Readiness | None:
    found = now.get(field) or 0
    return Readiness("progressing", f"{found} of {wanted} {what}") if found < wanted else None
