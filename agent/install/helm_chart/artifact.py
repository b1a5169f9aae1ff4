"""A chart out of the customer's registry: verified, with its values files, ready for helm to render."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.artifact.manifest import CHART_TYPE, HELM_ARTIFACT, HELM_CONFIG, HELM_PROGRAM, VALUES_TYPE, ChartConfig
from agent.bundle.platform import current_platform
from agent.failure import CodedError
from agent.install.site import Site
from agent.install.workspace import Workspace
from agent.oci.client import RegistryClient
from agent.oci.download import download_blob
from agent.oci.manifest import MANIFEST_BYTES, TITLE, Descriptor, ManifestBody
from agent.oci.signature import verify
from api.contract.agents import DeployJob

_CHART_BYTES = 256 * 1024 * 1024
_VALUES_TITLE = re.compile(r"values/[A-Za-z0-9][A-Za-z0-9._-]*")


class NotAChartError(CodedError):
    """The artifact isn't a chart, or one of a version that this agent doesn't know."""

    code = "not_a_chart"
    remedy = "Build the component again; if that doesn't help, bring this agent to the build agent's version."


@dataclass(frozen=True)
class FetchedChart:
    """A chart on disk. `values` are its values files in order: a later one wins."""

    config: ChartConfig
    package: Path
    values: tuple[Path, ...]
    app_version: str
    repository: str
    """Where its images are: `registry.example.com/shop/web`."""


def helm_of(workspace: Workspace) -> Path:
    """Where the helm of a component's artifact is, if it brought one for this machine."""
    return workspace.root / "program" / "helm"


async def fetch_chart(job: DeployJob, site: Site, workspace: Workspace) -> FetchedChart:
    """Put the job's chart into a folder of the workspace, which is made anew, and its helm, if it brings one, to `helm_of`.

    Raises SignatureError, NotAChartError, and the errors of RegistryClient: every byte is checked against the digest.
    """
    registry = await site.registry.client()
    path = site.registry.repository(job.repository)
    await verify(registry, path, job.digest, site.vendor_keys)
    index = (await registry.get_manifest(path, job.digest)).body()
    if index.artifact_type != HELM_ARTIFACT or not index.manifests:
        raise NotAChartError(f"{path}@{job.digest} is not a chart, but {index.artifact_type or 'something else'}")
    head = (await registry.get_manifest(path, index.manifests[0].digest)).body()
    config = await _config(registry, path, head)
    if config.chart_digest not in {part.digest for part in index.manifests}:
        raise NotAChartError("the chart's config names a chart that the artifact doesn't have")
    chart = (await registry.get_manifest(path, config.chart_digest)).body()
    layers = [layer for layer in chart.layers if layer.media_type == CHART_TYPE]
    if len(layers) != 1 or chart.config is None or chart.config.size > MANIFEST_BYTES:
        raise NotAChartError(f"the chart's manifest has {len(layers)} packages, or no config")
    into = workspace.work / "chart"
    shutil.rmtree(into, ignore_errors=True)
    (into / "values").mkdir(parents=True)
    package = into / "chart.tgz"
    await _download(registry, path, layers[0], package)
    titled = {layer.annotations.get(TITLE, ""): layer for layer in head.layers if layer.media_type == VALUES_TYPE}
    for title in config.values_files:
        if title not in titled or not _VALUES_TITLE.fullmatch(title):
            raise NotAChartError(f"the chart's config names a values file {title!r} that the artifact doesn't have")
        await _download(registry, path, titled[title], into / title)
    await _fetch_helm(registry, path, head, config, helm_of(workspace))
    metadata = json.loads(await registry.read_blob(path, chart.config.digest, chart.config.size))
    app_version = str(metadata.get("appVersion") or "") if isinstance(metadata, dict) else ""
    host = registry.url.netloc.decode()
    return FetchedChart(config, package, tuple(into / title for title in config.values_files), app_version, f"{host}/{path}")


async def _fetch_helm(registry: RegistryClient, path: str, head: ManifestBody, config: ChartConfig, to: Path) -> None:
    """The program that the artifact brings, there once, under its digest's name; none is left that it doesn't bring."""
    said, known = config.helm, to.with_name("digest")
    if said is None or said.platform != str(current_platform()):
        shutil.rmtree(to.parent, ignore_errors=True)
        return
    layer = next(
        (each for each in head.layers if (each.media_type, each.annotations.get(TITLE)) == (HELM_PROGRAM, said.title)), None
    )
    if layer is None:
        raise NotAChartError(f"the chart's config names a program {said.title!r} that the artifact doesn't have")
    if to.is_file() and known.is_file() and known.read_text() == layer.digest:
        return
    shutil.rmtree(to.parent, ignore_errors=True)
    to.parent.mkdir(parents=True)
    await _download(registry, path, layer, to)
    to.chmod(0o700)
    known.write_text(layer.digest)


async def _config(registry: RegistryClient, path: str, head: ManifestBody) -> ChartConfig:
    if head.config is None or head.config.media_type != HELM_CONFIG or head.config.size > MANIFEST_BYTES:
        raise NotAChartError(f"{path} has a chart without a config that can be read")
    try:
        return ChartConfig.model_validate_json(await registry.read_blob(path, head.config.digest, head.config.size))
    except ValidationError as error:
        raise NotAChartError(f"the chart's config can't be read: {error.errors()[0]['msg']}") from None


async def _download(registry: RegistryClient, path: str, layer: Descriptor, to: Path) -> None:
    if layer.size > _CHART_BYTES:
        raise NotAChartError(f"a part of the chart has {layer.size} bytes")
    await download_blob(registry, path, layer.digest, layer.size, to)
