"""How a release is: helm's own word for it, and whether each of its objects does what it is for."""

from collections.abc import Callable, Mapping

from agent.install.helm_chart.live import Live
from agent.install.helm_chart.stored_release import StoredRelease
from agent.kubernetes.objects import Obj, Ref
from agent.kubernetes.readiness import readiness
from api.contract.component_health import HealthCheck, checked

_WORKLOADS = ("CronJob", "DaemonSet", "Deployment", "Job", "PersistentVolumeClaim", "Pod", "ReplicaSet", "StatefulSet")
"""Kinds that are told of also when they are well. Of all others, only those that aren't."""


def health_of_release(
    last: StoredRelease, objects: Mapping[Ref, Obj], live: Mapping[Ref, Live], redact: Callable[[str], str]
) -> list[HealthCheck]:
    """The checks of a release with its objects, as they are now."""
    name = f"release/{last.document.get('name', '')}"
    well = last.status == "deployed"
    found = [checked(name, "release", "healthy" if well else "degraded", "" if well else f"helm says that it is {last.status}")]
    for ref in sorted(objects):
        now = live[ref].now
        where = redact(f"{ref.kind.lower()}/{ref.name}")
        if now is None:
            found.append(checked(where, "workload", "degraded", "it isn't there"))
        elif not (state := readiness(now)).ready:
            found.append(checked(where, "workload", "degraded", redact(state.reason)))
        elif ref.kind in _WORKLOADS:
            found.append(checked(where, "workload", "healthy"))
    return found
