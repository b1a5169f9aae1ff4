"""Manifests, and the component that they make in a customer's account."""

from collections.abc import Awaitable
from typing import Any

import pytest
from customer import Customer

from agent.failure import JobFailedError
from api.contract.agents import ApplyResult, JobResult, PlanResult
from api.contract.base import Failure
from api.contract.components import KubernetesManifestConfig
from api.contract.resources import PlanSummary

CANARY = "canary-5d1f0e7c"
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {domain: "{{ inputs.domain }}", greeting: hello}
"""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: {{ inputs.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web.example.com/shop/web:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {rules: [{host: "shop.{{ inputs.domain }}"}]}
"""
SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: "{{ inputs.password }}", "colon": "a: {{ inputs.password }}\\n#b"}
"""
DEFINITION = """
apiVersion: shop.example.com/v1
kind: Shelf
metadata: {name: one}
spec: {size: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shelves.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {plural: shelves, singular: shelf, kind: Shelf}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""
MIGRATION = """
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: migrate, image: "web.example.com/shop/web:%s"}]}
"""
INPUTS = {"domain": "example.com", "replicas": 2}


class Shop:
    """One component in a customer's account, as an IMS would deploy it."""

    def __init__(self, customer: Customer, component: str = "web", **config: Any) -> None:
        self.customer = customer
        self.component = component
        self.config: dict[str, Any] = {"closure": "off", "timeout": 240, **config}

    async def ship(self, manifest: str, **config: Any) -> None:
        """Build and sync a new version."""
        self.config |= config
        await self.customer.build_of(self.component, KubernetesManifestConfig(manifest=manifest, **self.config))
        await self.customer.sync(self.component)

    async def plan(self, kind: str = "plan", job_id: str = "job_plan", **given: Any) -> PlanSummary:
        job = self.customer.job(kind, self.component, inputs=INPUTS, **given)
        result = await self.customer.run(job, job_id)
        assert isinstance(result, PlanResult)
        return result.summary

    async def apply(self, kind: str = "apply", job_id: str = "job_plan", **given: Any) -> ApplyResult:
        job = self.customer.job(kind, self.component, plan=job_id, inputs=INPUTS, **given)
        result = await self.customer.run(job, "job_apply")
        assert isinstance(result, ApplyResult)
        return result

    async def deploy(self, manifest: str, **config: Any) -> ApplyResult:
        await self.ship(manifest, **config)
        await self.plan()
        return await self.apply()

    async def destroy(self) -> None:
        await self.plan("plan_destroy", "job_gone")
        await self.apply("destroy", "job_gone")


def actions(summary: PlanSummary) -> dict[str, list[str]]:
    return {change.address: change.actions for change in summary.resources}


async def failure_of(work: Awaitable[JobResult | PlanSummary]) -> Failure:
    with pytest.raises(JobFailedError) as caught:
        await work
    return caught.value.failure
