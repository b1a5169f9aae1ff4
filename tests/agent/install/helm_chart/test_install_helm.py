"""Charts in a customer's cluster: what a plan says, and that what it rendered is what helm applies."""

import pytest
from charts import CONFIG_MAP, Cluster

pytestmark = pytest.mark.anyio


async def test_a_first_install(cluster: Cluster) -> None:
    await cluster.release({"templates/config.yaml": CONFIG_MAP}, values={"colour": "blue"})
    planned = await cluster.plan()
    assert [(each.address, each.actions) for each in planned.summary.resources] == [("ConfigMap/default/web", ["create"])]
    assert cluster.kubernetes.writes() == []
    result = await cluster.apply()
    assert cluster.config_map() == {"colour": "blue"}
    assert result.outputs == {"release_name": "web", "namespace": "default", "chart_version": "1.2.3", "app_version": "7"}
    assert cluster.history() == [(1, "deployed")]
    assert cluster.helm("get", "values", "web", "-o", "json") == {"colour": "blue"}
