"""A chart out of the customer's registry: verified, with its values files, ready for helm to render."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.artifact.manifest import CHART_TYPE, HELM_ARTIFACT, HELM_CONFIG, VALUES_TYPE, ChartConfig
from agent.failure import CodedError
from agent.install.site import Site
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


async def fetch_chart(job: DeployJob, site: Site, into: Path) -> FetchedChart:
    """Put the job's chart into the folder `into`, which is made anew.

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
    shutil.rmtree(into, ignore_errors=True)
    (into / "values").mkdir(parents=True)
    package = into / "chart.tgz"
    await _download(registry, path, layers[0], package)
    titled = {layer.annotations.get(TITLE, ""): layer for layer in head.layers if layer.media_type == VALUES_TYPE}
    for title in config.values_files:
        if title not in titled or not _VALUES_TITLE.fullmatch(title):
            raise NotAChartError(f"the chart's config names a values file {title!r} that the artifact doesn't have")
        await _download(registry, path, titled[title], into / title)
    metadata = json.loads(await registry.read_blob(path, chart.config.digest, chart.config.size))
    app_version = str(metadata.get("appVersion") or "") if isinstance(metadata, dict) else ""
    host = registry.url.netloc.decode()
    return FetchedChart(config, package, tuple(into / title for title in config.values_files), app_version, f"{host}/{path}")


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
