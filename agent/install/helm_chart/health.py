"""What a release and its objects in the cluster say of the component's health."""

from collections.abc import Callable

from agent.install.helm_chart.live import look, placed
from agent.install.helm_chart.session import Session
from agent.install.helm_chart.stored_release import StoredRelease
from agent.kubernetes.health import workload_checks
from api.contract.component_health import HealthCheck, checked


async def release_checks(at: Session, release: StoredRelease, redact: Callable[[str], str]) -> list[HealthCheck]:
    """The release as helm has it, and what of its objects isn't ready. Raises the errors of the client."""
    name, namespace = at.runner.release, at.runner.namespace
    objects = await placed(at.client, release.rendering.objects(), namespace)
    live = await look(at.client, objects, {}, name, namespace)
    well = release.status == "deployed"
    own = checked(
        f"release/{name}", "release", "healthy" if well else "degraded", "" if well else f"helm has it as {release.status}"
    )
    return [own, *await workload_checks(at.client, {ref: each.now for ref, each in live.items()}, redact)]
