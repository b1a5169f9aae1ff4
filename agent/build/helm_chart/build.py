"""Build a component of the kind `helm_chart`: Helm's own artifact, its values files, and the images that it names."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from agent.artifact.manifest import (
    CHART_CONFIG_TYPE,
    CHART_TYPE,
    HELM_ARTIFACT,
    HELM_CONFIG,
    VALUES_TYPE,
    Blob,
    ChartConfig,
    dated,
)
from agent.artifact.outputs import CHART_OUTPUTS, declared
from agent.build.builder import BuildContext, BuiltArtifact
from agent.build.closure.close import Closed, close
from agent.build.closure.found_images import FoundImage, images_in
from agent.build.composite import push_index, push_manifest
from agent.build.helm_chart.bundled_helm import bundled_helm
from agent.build.helm_chart.chart import Chart, chart_of_folder
from agent.build.helm_chart.render import RenderError, render
from agent.build.helm_chart.repository import find_chart
from agent.build.materials import image_materials, without_login
from agent.build.mirror import Mirrored
from agent.build.source import field_of
from agent.bundle.pack import UNDATED
from agent.failure import CodedError, JobFailedError
from agent.oci.digest import digest_of, hex_of
from agent.oci.manifest import canonical_json
from agent.oci.provenance import Material
from api.contract.components import HelmChartConfig

_TITLE = "org.opencontainers.image.title"
_VERSION = "org.opencontainers.image.version"


class ValuesFileError(CodedError):
    """A values file isn't in the source."""

    code = "values_file_not_found"
    remedy = "Write its path inside the source's folder."


@dataclass(frozen=True)
class _Fetched:
    """A chart before it is pushed. `manifest` is set where it is in the vendor's registry already."""

    chart: Chart
    folder: Path | None
    revision: str
    created: str
    manifest: Mirrored | None = None


async def build_helm_chart(config: HelmChartConfig, context: BuildContext) -> BuiltArtifact:
    """Pack or fetch the chart, find and mirror its images, push all of it. Raises JobFailedError."""
    try:
        fetched = await _fetch(config, context)
    except JobFailedError as error:
        if error.failure.field is not None:
            raise
        field = field_of(config.source) if config.source else "config.helm_repo"
        raise JobFailedError(error.failure.model_copy(update={"field": field})) from error
    files = await asyncio.to_thread(_values_files, config, fetched.folder)
    closed = await _close(config, fetched.chart, files, context)
    annotations = dated(fetched.created, fetched.revision)
    manifest = fetched.manifest or await _push_chart(fetched, context)
    layers = tuple(Blob(VALUES_TYPE, path.read_bytes(), f"values/{at}-{path.name}") for at, path in enumerate(files))
    helm = await bundled_helm(context) if config.bundle_helm else None
    if helm is not None:
        layers += (helm.blob,)
    own = ChartConfig(
        chart=fetched.chart.name,
        version=fetched.chart.version,
        chart_digest=manifest.digest,
        values_files=tuple(layer.title for layer in layers if layer.media_type == VALUES_TYPE),
        helm=helm.said if helm else None,
        closure=config.closure,
        images=closed.images,
    )
    blob = Blob(HELM_CONFIG, canonical_json(own.model_dump(mode="json")))
    head = await push_manifest(context, blob, layers, artifact_type=HELM_ARTIFACT, annotations=annotations)
    parts = [head, manifest, *closed.parts]
    package = Material(own.chart, own.version, sha256=hex_of(digest_of(fetched.chart.package)), uri=_origin(config))
    programs = (Material("helm", helm.said.version, sha256=hex_of(digest_of(helm.blob.data))),) if helm else ()
    return await push_index(
        context,
        HELM_ARTIFACT,
        parts,
        annotations=annotations,
        revision=fetched.revision,
        outputs=declared(CHART_OUTPUTS),
        materials=(package, *programs, *image_materials(closed.images)),
    )


def _origin(config: HelmChartConfig) -> str:
    """Where a chart of a repository is from; nothing for one of the source, which the provenance names itself."""
    return without_login(config.helm_repo.repo_url) if config.helm_repo else ""


async def _fetch(config: HelmChartConfig, context: BuildContext) -> _Fetched:
    if config.source is not None:
        source = await context.fetch(config.source)
        chart = await asyncio.to_thread(chart_of_folder, source.folder)
        return _Fetched(chart, source.folder, source.revision, source.created or UNDATED)
    assert config.helm_repo is not None
    found = await find_chart(config.helm_repo, context)
    return _Fetched(found.chart, None, digest_of(found.chart.package), UNDATED, found.manifest)


def _values_files(config: HelmChartConfig, folder: Path | None) -> list[Path]:
    """The values files in the config's order: the later wins, there as here."""
    files = []
    for at, name in enumerate(config.values_files):
        path = None if folder is None else (folder / name).resolve()
        if path is None or folder is None or not path.is_relative_to(folder.resolve()) or not path.is_file():
            where = "the source has no" if folder else "a chart of a repository comes without a folder for"
            raise ValuesFileError(f"{where} values file {name!r}", field=f"config.values_files.{at}")
        files.append(path)
    return files


async def _close(config: HelmChartConfig, chart: Chart, files: list[Path], context: BuildContext) -> Closed:
    if config.closure == "off":
        return Closed({}, [])
    release = config.release_name or context.repository.rpartition("/")[2]
    rendered = await render(chart.package, release, config.namespace, files, config.values, context)
    upgraded: dict[str, str] = {}
    try:
        upgraded = await render(chart.package, release, config.namespace, files, config.values, context, upgrade=True)
    except RenderError as error:
        context.log(f"images that only an upgrade would bring out are not looked for: {error}")
    found: list[FoundImage] = []
    for file, text in [*rendered.items(), *upgraded.items()]:
        found += images_in(file, text)
    return await close(found, context, "config.source" if config.source else "config.helm_repo")


async def _push_chart(fetched: _Fetched, context: BuildContext) -> Mirrored:
    """The chart's own manifest, as `helm push` makes it, but for the time of day in it."""
    chart = fetched.chart
    annotations = {**dated(fetched.created, fetched.revision), _TITLE: chart.name, _VERSION: chart.version}
    config, layer = Blob(CHART_CONFIG_TYPE, chart.config), Blob(CHART_TYPE, chart.package)
    return await push_manifest(context, config, (layer,), artifact_type=None, annotations=annotations)
