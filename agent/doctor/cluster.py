"""The customer's cluster, if the agent is told of one: an authenticated GET /version, made as the agent makes its calls."""

from collections.abc import AsyncIterator
from dataclasses import replace

from agent.doctor.check import Finding, failed, passed, skipped
from agent.kubernetes.access import ClusterSettings
from agent.kubernetes.client import connect
from agent.kubernetes.errors import ClusterForbiddenError, ClusterLoginError, ClusterUnreachableError, NoClusterError
from agent.oci.retry import RetryPolicy


async def cluster(settings: ClusterSettings) -> AsyncIterator[Finding]:
    """The API server takes the agent's identity. Failed only where a cluster is given."""
    if not settings.given_any:
        yield skipped("cluster", "no kubeconfig and no pod's service account; only charts and manifests need a cluster")
        return
    try:
        async with connect(settings) as client:
            version = await replace(client, retry=RetryPolicy(tries=1)).version()
    except (ClusterForbiddenError, ClusterLoginError, ClusterUnreachableError, NoClusterError) as error:
        yield failed("cluster", str(error), error.failure.remedy or NoClusterError.remedy)
    else:
        yield passed("cluster", f"Kubernetes {version} at {client.access.server}")
