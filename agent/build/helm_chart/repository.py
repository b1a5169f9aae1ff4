"""Get a chart from a repository: an HTTP index (https://helm.sh/docs/topics/chart_repository/), or a registry (`oci://…`)."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.artifact.manifest import CHART_TYPE
from agent.build.builder import BuildContext
from agent.build.helm_chart.chart import CHART_BYTES, Chart, ChartWrongError, chart_of_package
from agent.build.image_reference import ImageNameError, ImageReference
from agent.build.mirror import Mirrored, mirror
from agent.build.named_images import registry_of
from agent.build.yaml_reader import YamlWrongError, load
from agent.failure import CodedError
from agent.oci.digest import digest_of, hex_of
from agent.oci.errors import RegistryError, RegistryUnavailableError
from agent.oci.reach import check_reach
from api.contract.components import HelmRepository

_INDEX_BYTES = 64 * 1024 * 1024
_SECONDS = 60.0
_MOST_REDIRECTS = 5


class ChartNotFoundError(CodedError):
    """The repository doesn't have the chart, or isn't a repository."""

    code = "chart_not_found"
    remedy = "Correct `repo_url`, `chart` or `version`."


class ChartUnavailableError(CodedError):
    """The repository doesn't answer."""

    code = "chart_unavailable"
    retryable = True
    remedy = "Check that the build agent can reach the repository; then try again."


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    version: str
    urls: list[str] = Field(default_factory=list)
    digest: str = ""


@dataclass(frozen=True)
class FoundChart:
    """A chart of a repository. `manifest` is set where it came as an OCI artifact, which has been mirrored already."""

    chart: Chart
    manifest: Mirrored | None


async def find_chart(repository: HelmRepository, context: BuildContext) -> FoundChart:
    """Get the chart. Raises ChartNotFoundError, ChartUnavailableError, ChartWrongError, UnsafeArchiveError."""
    if repository.repo_url.startswith("oci://"):
        return await _of_registry(repository, context)
    package = await _of_index(repository, context.http)
    return FoundChart(await asyncio.to_thread(chart_of_package, package), None)


async def _of_registry(repository: HelmRepository, context: BuildContext) -> FoundChart:
    field = "config.helm_repo.repo_url"
    # A registry's tags know no plus sign: Helm writes an underscore.
    name = f"{repository.repo_url.removeprefix('oci://').rstrip('/')}/{repository.chart}:{repository.version.replace('+', '_')}"
    try:
        image = ImageReference.parse(name)
    except ImageNameError:
        raise ChartNotFoundError(f"oci://{name} can't be the name of a chart", field=field) from None
    client = await registry_of(image, context)
    try:
        found = await client.get_manifest(image.repository, image.reference)
    except RegistryUnavailableError as error:
        raise ChartUnavailableError(str(error), field=field) from None
    except RegistryError as error:
        raise ChartNotFoundError(f"oci://{name}: {error}", field=field) from None
    layers = [layer for layer in found.body().layers if layer.media_type == CHART_TYPE]
    if len(layers) != 1 or layers[0].size > CHART_BYTES:
        raise ChartWrongError(f"oci://{name} isn't a chart of at most {CHART_BYTES} bytes", field=field)
    package = await client.read_blob(image.repository, layers[0].digest, layers[0].size)
    chart = await asyncio.to_thread(chart_of_package, package)
    return FoundChart(chart, await mirror(client, image, found, context.target, context.repository))


async def _of_index(repository: HelmRepository, http: httpx.AsyncClient) -> bytes:
    base = repository.repo_url.rstrip("/") + "/"
    if urlsplit(base).scheme not in ("http", "https"):
        raise ChartNotFoundError(f"{_shown(base)} is neither https:// nor oci://", field="config.helm_repo.repo_url")
    index = await _get(http, base, "index.yaml", _INDEX_BYTES, "config.helm_repo.repo_url")
    entry = await asyncio.to_thread(_entry, index, repository)
    package = await _get(http, base, entry.urls[0], CHART_BYTES, "config.helm_repo.version")
    if entry.digest and hex_of(digest_of(package)) != hex_of(entry.digest):
        raise ChartWrongError(
            f"the package of {repository.chart} {repository.version} isn't the one of the index: its sha256 is "
            f"{hex_of(digest_of(package))}, and the index says {hex_of(entry.digest)}",
            remedy="Don't use it; ask whoever runs the repository.",
            field="config.helm_repo.version",
        )
    return package


def _entry(index: bytes, repository: HelmRepository) -> _Entry:
    try:
        document = load("index.yaml", index)
        entries = [_Entry.model_validate(entry) for entry in document["entries"].get(repository.chart) or []]
    except (YamlWrongError, ValidationError, KeyError, TypeError, AttributeError):
        raise ChartNotFoundError(
            f"{_shown(repository.repo_url)}/index.yaml isn't the index of a chart repository", field="config.helm_repo.repo_url"
        ) from None
    if not entries:
        raise ChartNotFoundError(
            f"{_shown(repository.repo_url)} has no chart {repository.chart!r}", field="config.helm_repo.chart"
        )
    for entry in entries:
        if entry.version == repository.version and entry.urls:
            return entry
    there = ", ".join(entry.version for entry in entries[:10])
    raise ChartNotFoundError(
        f"{_shown(repository.repo_url)} has no version {repository.version!r} of {repository.chart}",
        remedy=f"Its newest versions are: {there}.",
        field="config.helm_repo.version",
    )


async def _get(http: httpx.AsyncClient, base: str, path: str, most: int, field: str) -> bytes:
    """What lies at `path`, or where that leads. A repository leads nowhere that a registry may not lead (`check_reach`)."""
    url, to = base, path
    for _ in range(_MOST_REDIRECTS):
        try:
            url = urljoin(url, to)
            await check_reach(httpx.URL(base), httpx.URL(url), "the address")
            async with http.stream("GET", url, timeout=_SECONDS, follow_redirects=False) as response:
                if response.has_redirect_location:
                    to = response.headers["location"]
                    continue
                if response.status_code in (429, 500, 502, 503, 504):
                    raise ChartUnavailableError(f"{_shown(url)} answers {response.status_code}", field=field)
                if response.status_code != 200:
                    raise ChartNotFoundError(f"{_shown(url)} answers {response.status_code}", field=field)
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > most:
                        raise ChartWrongError(f"{_shown(url)} has more than {most} bytes", field=field)
                return bytes(content)
        except httpx.TransportError as error:
            raise ChartUnavailableError(f"{_shown(url)} can't be reached: {type(error).__name__}", field=field) from None
        except RegistryUnavailableError as error:
            raise ChartUnavailableError(str(error), field=field) from None
        except RegistryError as error:
            raise ChartNotFoundError(str(error), remedy=error.failure.remedy, field=field) from None
        except (httpx.InvalidURL, ValueError):
            raise ChartNotFoundError(f"what {_shown(url)} leads to isn't an address", field=field) from None
    raise ChartNotFoundError(f"{_shown(url)} redirects more than {_MOST_REDIRECTS} times", field=field)


def _shown(url: str) -> str:
    """An address without what may be secret in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "what it names"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
