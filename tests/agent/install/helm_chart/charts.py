"""A chart of the vendor's in a customer's cluster: the helm is real, the API server is `fake_kubernetes`."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from customer import Customer
from fake_kubernetes.server import FakeKubernetes

from agent.cancellation import Cancellation
from api.contract.agents import ApplyResult, PlanResult
from api.contract.base import Json
from api.contract.components import HelmChartConfig, PathSource, Source

CHART = 'apiVersion: v2\nname: shop\nversion: "1.2.3"\nappVersion: "7"\n'
CONFIG_MAP = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  colour: {{ .Values.colour | quote }}
"""


@dataclass
class Cluster:
    """An account with a cluster, and the folder of one chart, the component `web`."""

    account: Customer
    kubernetes: FakeKubernetes
    source: Path
    program: str
    kubeconfig: Path

    async def release(self, files: Mapping[str, str], **config: Any) -> None:
        """Build the chart of these files, and sync it."""
        for name, text in {"Chart.yaml": CHART, "values.yaml": "colour: red\n", **files}.items():
            file = self.source / name
            if name in files or not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        made = HelmChartConfig(source=Source(path=PathSource(path=str(self.source))), **config)
        await self.account.build_of("web", made)
        await self.account.sync("web")

    async def plan(self, kind: str = "plan", job_id: str = "job_plan", **more: dict[str, Json]) -> PlanResult:
        result = await self.account.run(self.account.job(kind, "web", **more), job_id)  # type: ignore[arg-type]
        assert isinstance(result, PlanResult)
        return result

    async def apply(
        self, plan: str = "job_plan", kind: str = "apply", cancellation: Cancellation | None = None, **more: dict[str, Json]
    ) -> ApplyResult:
        job = self.account.job(kind, "web", plan=plan, **more)  # type: ignore[arg-type]
        result = await self.account.run(job, f"job_{kind}", cancellation)
        assert isinstance(result, ApplyResult)
        return result

    async def deploy(self, **more: dict[str, Json]) -> ApplyResult:
        await self.plan(**more)
        return await self.apply(**more)

    async def changes(self, job_id: str = "job_again", **more: dict[str, Json]) -> list[tuple[str, list[str], list[str]]]:
        """What a new plan would do."""
        resources = (await self.plan(job_id=job_id, **more)).summary.resources
        return [(each.address, each.actions, each.attributes) for each in resources]

    def config_map(self, name: str = "web") -> dict[str, str]:
        found = self.kubernetes.cluster.find("ConfigMap", name)
        assert found is not None
        data: dict[str, str] = found["data"]
        return data

    def helm(self, *arguments: str) -> Any:
        """What the customer sees with a helm of their own."""
        ended = subprocess.run(
            [self.program, *arguments, "--kubeconfig", str(self.kubeconfig)],
            env={"PATH": os.environ["PATH"], "HOME": str(self.account.folder)},
            capture_output=True,
            check=True,
        )
        return json.loads(ended.stdout) if "json" in arguments else ended.stdout.decode()

    def history(self, release: str = "web") -> list[tuple[int, str]]:
        return [(each["revision"], each["status"]) for each in self.helm("history", release, "-o", "json")]
