"""Render a chart for one cluster: its version, its APIs and what it has are those of the cluster at the plan."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.engine.run import Command, Ended, capture
from agent.failure import CodedError
from agent.install.helm_chart.artifact import FetchedChart
from agent.install.helm_chart.program import Helm
from agent.install.helm_chart.release_chart import package_has_crds
from agent.install.helm_chart.rendering import Document, Rendering, read_documents
from api.contract.components import HelmChartConfig

_RENDER_SECONDS = 600


class RenderError(CodedError):
    """Helm can't render the chart for this cluster. The message has its words."""

    code = "chart_not_rendered"
    remedy = "Give the chart the values that it needs; `helm template` with the same values shows the same error."


@dataclass(frozen=True)
class Facts:
    """What a cluster says of itself. `api_versions` are as in helm's `.Capabilities.APIVersions`."""

    version: str
    api_versions: tuple[str, ...]


@dataclass(frozen=True)
class HelmRunner:
    """Helm's commands for one release, in a folder, while the workspace's `lock` is held."""

    helm: Helm
    folder: Path
    environment: dict[str, str]
    lock: int
    release: str
    namespace: str
    cluster: tuple[str, ...] = ()

    def command(self, action: str, *arguments: str) -> Command:
        """One command on the release."""
        named = (action, "--install", self.release) if action == "upgrade" else (action, self.release)
        where = ("--namespace", self.namespace, *self.cluster)
        return Command(self.helm, (*named, *arguments, *where), self.folder, self.environment, self.lock)


async def render(
    runner: HelmRunner, config: HelmChartConfig, chart: FetchedChart, values: Sequence[Path], facts: Facts | None
) -> Rendering:
    """What the next revision would make. Raises RenderError.

    `facts` are given where the cluster can't be asked about the chart's objects: at the first install of one that brings the
    definitions of its own kinds along (`brings_kinds`).
    """
    arguments = [str(chart.package), *(f"--values={path}" for path in values)]
    if facts is not None:
        return await _with_kinds(runner, config, arguments, facts)
    arguments += ["--dry-run=server", "--output=json", "--reset-values"]
    arguments += ["--take-ownership"] if config.take_ownership else []
    document = json.loads(await _run(runner, "upgrade", *arguments))
    hooks = [Document(str(each["path"]), str(each["manifest"])) for each in document.get("hooks") or []]
    return Rendering((*read_documents(str(document.get("manifest") or "")), *hooks))


async def brings_kinds(config: HelmChartConfig, chart: FetchedChart) -> bool:
    """Whether a first install makes kinds that the cluster may not have yet."""
    return not config.skip_crds and await asyncio.to_thread(lambda: package_has_crds(chart.package.read_bytes()))


async def _with_kinds(runner: HelmRunner, config: HelmChartConfig, arguments: list[str], facts: Facts) -> Rendering:
    # Helm 4 would ask the server for the kinds of all objects; helm 3 only looks up what the templates ask for.
    where = "client" if runner.helm.release >= (4, 0) else "server"
    arguments = [*arguments, f"--dry-run={where}", "--include-crds", "--kube-version", facts.version]
    arguments += [f"--api-versions={version}" for version in facts.api_versions]
    first = read_documents((await _run(runner, "template", *arguments)).decode())
    made = {version for document in first if document.crd for version in _kinds_of(document)}
    if made <= set(facts.api_versions):
        return Rendering(tuple(first))
    # As helm itself sees it after it has made them.
    arguments += [f"--api-versions={version}" for version in sorted(made)]
    return Rendering(tuple(read_documents((await _run(runner, "template", *arguments)).decode())))


def _kinds_of(document: Document) -> list[str]:
    """The versions and kinds that a CustomResourceDefinition makes, as in helm's `.Capabilities.APIVersions`."""
    spec = (document.object() or {}).get("spec") or {}
    names = [f"{spec.get('group')}/{each.get('name')}" for each in spec.get("versions") or []]
    return [*names, *(f"{name}/{(spec.get('names') or {}).get('kind')}" for name in names)]


async def _run(runner: HelmRunner, action: str, *arguments: str) -> bytes:
    ended, printed = await capture(runner.command(action, *arguments), timeout=_RENDER_SECONDS)
    if not ended.succeeded:
        raise RenderError(f"helm can't render the chart: {words_of(ended)}", field="config.values")
    return printed


def words_of(ended: Ended) -> str:
    """Why helm didn't succeed, in its own words."""
    said = "\n".join(error.text for error in ended.errors) or f"it ended with exit code {ended.exit_code}"
    return f"it was stopped because {ended.stopped}; {said}" if ended.stopped else said
