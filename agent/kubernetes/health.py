"""What the objects of a component in a cluster say of its health."""

from collections.abc import Callable, Mapping

from agent.kubernetes.client import KubernetesClient
from agent.kubernetes.objects import Obj, Ref
from agent.kubernetes.readiness import readiness
from agent.kubernetes.waiting import why_not
from api.contract.component_health import HealthCheck, checked

_WORKLOADS = frozenset({"DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "ReplicationController", "StatefulSet"})


async def workload_checks(
    client: KubernetesClient, live: Mapping[Ref, Obj | None], redact: Callable[[str], str]
) -> list[HealthCheck]:
    """A check for each workload, and for anything else that isn't ready or isn't there. None = it isn't there."""
    found = []
    for ref in sorted(live):
        obj = live[ref]
        if obj is None:
            found.append(checked(redact(str(ref)), "workload", "degraded", "it isn't there"))
            continue
        seen = readiness(obj)
        if not seen.ready:
            found.append(checked(redact(str(ref)), "workload", "degraded", redact(await why_not(client, ref, obj, seen))))
        elif ref.kind in _WORKLOADS:
            found.append(checked(redact(str(ref)), "workload", "healthy"))
    return found
