"""What objects say of a component's health."""

from collections.abc import Iterable

from agent.kubernetes.client import KubernetesClient
from agent.kubernetes.objects import Obj, Ref, metadata, status
from agent.kubernetes.readiness import readiness
from agent.kubernetes.waiting import why_not
from api.contract.component_health import HealthCheck, checked

_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod", "PersistentVolumeClaim"})


async def workload_checks(client: KubernetesClient, objects: Iterable[Obj]) -> list[HealthCheck]:
    """One check for each object that runs or that says of itself whether it is ready; of others there is nothing to say.

    The reasons may hold what objects and events say: whoever reports them redacts them first.
    """
    checks: list[HealthCheck] = []
    for obj in objects:
        if not _says(obj):
            continue
        ref, seen = Ref.of(obj), readiness(obj)
        name = f"{ref.kind.lower()}/{ref.name}"
        if seen.ready:
            checks.append(checked(name, "workload", "healthy"))
        else:
            checks.append(checked(name, "workload", "degraded", await why_not(client, ref, obj, seen)))
    return checks


def _says(obj: Obj) -> bool:
    """Whether the object has a health: it is a workload, a Service with a load balancer, or has a condition `Ready`."""
    if obj.get("kind") in _WORKLOADS and "deletionTimestamp" not in metadata(obj):
        return True
    if obj.get("kind") == "Service":
        return (obj.get("spec") or {}).get("type") == "LoadBalancer"
    return any(each.get("type") == "Ready" for each in status(obj).get("conditions") or [])
