"""Charts: what the real helm makes of what was built, which images travel, and what is refused."""

import asyncio
import gzip
import io
import json
import os
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from build_job import Build, BuildAgent
from helm_program import helm
from images import push_image, push_index
from registry_server import RegistryServer, serve, sha256
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from agent.artifact.chart_values import chart_value
from agent.artifact.manifest import CHART_CONFIG_TYPE, CHART_TYPE, HELM_ARTIFACT, ChartConfig
from agent.failure import JobFailedError
from agent.oci.copy import copy_artifact
from agent.oci.signature import verify
from agent.oci.vendor_key import VendorKey
from api.contract.base import Failure
from api.contract.components import HelmChartConfig, HelmRepository, PathSource, Source
from api.contract.resources import Artifact

pytestmark = pytest.mark.anyio

CHART = 'apiVersion: v2\nname: shop\nversion: "1.2.3"\n'
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  template:
    spec:
      initContainers:
        - name: init
          image: {{ .Values.init }}
      containers:
        - name: web
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          args: ["--sidecar={{ .Values.sidecar }}"]
"""


@pytest.fixture
def build(build_agent: BuildAgent) -> Build:
    run = build_agent.builds("acme/shop")
    program = helm()

    async def with_helm(config: Any, env: dict[str, str] | None = None, secrets: dict[str, str] | None = None) -> Any:
        return await run(config, {"EXCLAVE_HELM": program} | (env or {}), secrets)

    return with_helm


@pytest.fixture
async def chart(tmp_path: Path, debian: RegistryServer) -> Path:
    """A chart of three images, which are in `debian`."""
    host = debian.url.removeprefix("http://")
    local = f"localhost:{host.split(':')[1]}"
    await push_image(debian, "team/init", "1")
    await push_index(debian, "team/web", "1.10", "linux/amd64", "linux/arm64")
    await push_image(debian, "team/sidecar", "3")
    folder = tmp_path / "chart"
    write(folder, "Chart.yaml", CHART)
    write(folder, "templates/web.yaml", DEPLOYMENT)
    write(
        folder,
        "values.yaml",
        f"init: {host}/team/init:1\nimage:\n  repository: {host}/team/web\n  tag: wrong\nsidecar: {local}/team/sidecar:3\n",
    )
    write(folder, "values/one.yaml", "image:\n  tag: also-wrong\n")
    write(folder, "values/two.yaml", 'image:\n  tag: "1.10"\n')
    return folder


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def of(folder: Path, **more: Any) -> HelmChartConfig:
    fields = {"values_files": ["values/one.yaml", "values/two.yaml"]} | more
    return HelmChartConfig(source=Source(path=PathSource(path=str(folder))), **fields)


async def config_of(server: RegistryServer, artifact: Artifact) -> ChartConfig:
    client = server.client()
    index = await client.get_manifest("acme/shop", artifact.digest)
    head = (await client.get_manifest("acme/shop", index.body().manifests[0].digest)).body()
    assert head.config
    return ChartConfig.model_validate_json(await client.read_blob("acme/shop", head.config.digest, head.config.size))


async def failure_of(build: Build, config: HelmChartConfig) -> Failure:
    with pytest.raises(JobFailedError) as failed:
        await build(config)
    return failed.value.failure


async def test_a_chart_travels_with_every_image_that_it_names(
    build: Build, chart: Path, vendor: RegistryServer, debian: RegistryServer, customer: RegistryServer, key: VendorKey
) -> None:
    result = await build(of(chart))
    assert (result.artifact.artifact_type, result.artifact.repository) == (HELM_ARTIFACT, "acme/shop")
    await verify(vendor.client(), "acme/shop", result.artifact.digest, (key.public_pem,))
    config = await config_of(vendor, result.artifact)
    host = debian.url.removeprefix("http://")
    local = f"localhost:{host.split(':')[1]}"
    assert set(config.images) == {f"{host}/team/init:1", f"{host}/team/web:1.10", f"{local}/team/sidecar:3"}
    web = (await debian.client().get_manifest("team/web", "1.10")).digest
    assert config.images[f"{host}/team/web:1.10"] == web

    source, target = vendor.client(), customer.client()
    await copy_artifact(
        source, target, source_repository="acme/shop", target_repository="acme/shop", digest=result.artifact.digest
    )
    for digest in [*config.images.values(), config.chart_digest]:
        await target.get_manifest("acme/shop", digest)


async def test_the_later_values_file_wins_and_values_win_over_files(build: Build, chart: Path, debian: RegistryServer) -> None:
    await push_image(debian, "team/web", "42")
    await build(of(chart))
    failure = await failure_of(build, of(chart, values_files=["values/two.yaml", "values/one.yaml"]))
    assert "also-wrong" in failure.message
    await build(of(chart, values_files=["values/one.yaml"], values={"image.tag": "1.10"}))


async def test_helm_pulls_the_chart_by_its_digest(
    build: Build, chart: Path, vendor: RegistryServer, debian: RegistryServer, tmp_path: Path
) -> None:
    """From docker-registry, to which it was copied: helm wants no password there."""
    result = await build(of(chart))
    config = await config_of(vendor, result.artifact)
    digest = result.artifact.digest
    await copy_artifact(
        vendor.client(), debian.client(), source_repository="acme/shop", target_repository="acme/shop", digest=digest
    )
    (tmp_path / "pulled").mkdir()
    pulled = await asyncio.create_subprocess_exec(
        helm(), "pull", f"oci://{debian.url.removeprefix('http://')}/acme/shop@{config.chart_digest}", "--plain-http",
        "-d", str(tmp_path / "pulled"), env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await pulled.communicate()
    assert pulled.returncode == 0, said.decode()
    package = next((tmp_path / "pulled").glob("*.tgz"))
    with tarfile.open(package) as archive:
        assert {"shop/Chart.yaml", "shop/templates/web.yaml", "shop/values.yaml"} <= set(archive.getnames())
    rendered = await asyncio.create_subprocess_exec(helm(), "template", str(package), stdout=asyncio.subprocess.DEVNULL)
    assert await rendered.wait() == 0


async def test_the_chart_has_helms_own_media_types(build: Build, chart: Path, vendor: RegistryServer) -> None:
    result = await build(of(chart))
    config = await config_of(vendor, result.artifact)
    body = (await vendor.client().get_manifest("acme/shop", config.chart_digest)).body()
    assert body.config
    assert (body.config.media_type, [layer.media_type for layer in body.layers]) == (CHART_CONFIG_TYPE, [CHART_TYPE])
    metadata = json.loads(await vendor.client().read_blob("acme/shop", body.config.digest, body.config.size))
    assert (metadata["name"], metadata["version"]) == ("shop", "1.2.3")


async def test_the_same_chart_gives_the_same_digest_on_another_day(
    build: Build, chart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await build(of(chart))
    for path in chart.rglob("*"):
        os.utime(path, (1, 1))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86_400 * 3)
    assert (await build(of(chart))).artifact.digest == first.artifact.digest


async def test_an_image_that_cannot_be_had_is_named_with_file_and_line(build: Build, chart: Path) -> None:
    write(
        chart,
        "templates/job.yaml",
        "apiVersion: batch/v1\nkind: Job\nspec:\n  containers:\n    - image: {{ .Values.init }}-x\n",
    )
    failure = await failure_of(build, of(chart))
    assert (failure.code, failure.field) == ("not_closed", "config.source")
    assert "templates/job.yaml:6: " in failure.message or "templates/job.yaml:7: " in failure.message
    assert "/team/init:1-x" in failure.message


async def test_an_image_of_upgrades_alone_travels_too(
    build: Build, chart: Path, vendor: RegistryServer, debian: RegistryServer
) -> None:
    await push_image(debian, "team/migrate", "1")
    image = f"{debian.url.removeprefix('http://')}/team/migrate:1"
    job = f"apiVersion: batch/v1\nkind: Job\nspec:\n  containers:\n    - image: {image}\n"
    write(chart, "templates/migrate.yaml", f"{{{{ if .Release.IsUpgrade }}}}\n{job}{{{{ end }}}}\n")
    assert image in (await config_of(vendor, (await build(of(chart))).artifact)).images


async def test_a_chart_that_cannot_be_upgraded_without_a_cluster_is_built(build: Build, chart: Path) -> None:
    write(chart, "templates/check.yaml", '{{ if .Release.IsUpgrade }}{{ fail "give the old password" }}{{ end }}\n')
    await build(of(chart))


async def test_an_image_that_only_the_deploy_knows_is_a_leak(build: Build, chart: Path) -> None:
    failure = await failure_of(build, of(chart, values={"image.tag": "{{ inputs.version }}"}))
    assert failure.code == "not_closed"
    assert "depends on a value that only the deploy knows" in failure.message


async def test_an_image_that_is_a_component_is_no_leak(build: Build, chart: Path, vendor: RegistryServer) -> None:
    values = {
        "image.repository": "{{ components.web.image.repository }}",
        "image.tag": "{{ components.web.image.tag }}",
    }
    config = await config_of(vendor, (await build(of(chart, values=values))).artifact)
    assert len(config.images) == 2


async def test_closure_off_mirrors_nothing(build: Build, chart: Path, vendor: RegistryServer) -> None:
    result = await build(of(chart, values={"image.tag": "{{ inputs.version }}"}, closure="off"))
    config = await config_of(vendor, result.artifact)
    assert (config.closure, config.images) == ("off", {})


async def test_a_build_agent_without_helm_says_so(build_agent: BuildAgent, chart: Path) -> None:
    failure = await failure_of(build_agent.builds("acme/shop"), of(chart, closure="strict"))
    assert failure.code == "helm_not_found"
    assert "EXCLAVE_HELM" in failure.remedy


@pytest.mark.parametrize(
    ("file", "content", "code", "message"),
    [
        ("Chart.yaml", None, "chart_wrong", "no Chart.yaml"),
        ("Chart.yaml", "name: [", "yaml_wrong", "Chart.yaml:"),
        ("Chart.yaml", "name: ../evil\nversion: '1'\n", "chart_wrong", "`name` and a `version`"),
        (
            "Chart.yaml",
            CHART + "dependencies:\n  - name: db\n    version: 1\n",
            "chart_wrong",
            "Chart.yaml:5: the dependency 'db'",
        ),
        ("templates/web.yaml", "{{ .Values.", "chart_not_rendered", "web.yaml"),
        ("templates/web.yaml", "a: [", "chart_not_rendered", "web.yaml"),
    ],
)
async def test_a_folder_that_is_no_chart_is_explained(
    build: Build, chart: Path, file: str, content: str | None, code: str, message: str
) -> None:
    (chart / file).unlink()
    if content is not None:
        write(chart, file, content)
    failure = await failure_of(build, of(chart))
    assert failure.code == code
    assert message in failure.message
    assert failure.field


@pytest.mark.parametrize("name", ["nowhere.yaml", "../key.pem", "/etc/passwd"])
async def test_a_values_file_outside_of_the_source(build: Build, chart: Path, name: str) -> None:
    failure = await failure_of(build, of(chart, values_files=[name]))
    assert (failure.code, failure.field) == ("values_file_not_found", "config.values_files.0")


async def test_helmignore_is_followed(build: Build, chart: Path, vendor: RegistryServer) -> None:
    write(chart, ".helmignore", "# no secrets\n*.bak\n/docs/\n")
    write(chart, "old.bak", "x")
    write(chart, "docs/a.md", "x")
    config = await config_of(vendor, (await build(of(chart))).artifact)
    layer = (await vendor.client().get_manifest("acme/shop", config.chart_digest)).body().layers[0]
    with tarfile.open(fileobj=io.BytesIO(await vendor.client().read_blob("acme/shop", layer.digest, layer.size))) as archive:
        names = archive.getnames()
    assert "shop/.helmignore" in names
    assert not [name for name in names if "bak" in name or "docs" in name]


def test_values_are_read_as_helm_reads_them() -> None:
    texts = ["3", "1.10", "true", "null", "007", '["a"]', "{broken", "text"]
    assert [chart_value(text) for text in texts] == [3, "1.10", True, None, "007", ["a"], "{broken", "text"]


def package(*extra: tuple[str, bytes | None], chart: str = CHART) -> bytes:
    """A chart's package; an extra entry without content is a link to /etc."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in (("shop/Chart.yaml", chart.encode()), *extra):
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class Repository:
    """An HTTP chart repository of one package."""

    def __init__(self) -> None:
        self.package = package()
        self.digest: str | None = None
        self.url = ""

    def app(self) -> Starlette:
        async def index(_: Any) -> Response:
            digest = self.digest or sha256(self.package).removeprefix("sha256:")
            entry = {"version": "1.2.3", "urls": ["charts/shop-1.2.3.tgz"], "digest": digest, "name": "shop"}
            return Response(json.dumps({"apiVersion": "v1", "entries": {"shop": [entry]}}))

        async def content(_: Any) -> Response:
            return Response(self.package)

        return Starlette(routes=[Route("/index.yaml", index), Route("/charts/shop-1.2.3.tgz", content)])


@pytest.fixture
async def repository() -> AsyncIterator[Repository]:
    made = Repository()
    async with serve(made.app()) as url:
        made.url = url
        yield made


def from_repository(url: str, **more: Any) -> HelmChartConfig:
    fields = {"repo_url": url, "chart": "shop", "version": "1.2.3"} | more
    return HelmChartConfig(helm_repo=HelmRepository(**fields))


async def test_a_chart_of_an_http_index_stays_as_it_is(build: Build, repository: Repository, vendor: RegistryServer) -> None:
    result = await build(from_repository(repository.url))
    config = await config_of(vendor, result.artifact)
    layer = (await vendor.client().get_manifest("acme/shop", config.chart_digest)).body().layers[0]
    assert layer.digest == sha256(repository.package) == result.source_revision
    assert (await build(from_repository(repository.url))).artifact == result.artifact


async def test_a_chart_of_a_registry_keeps_its_digest(
    build: Build, chart: Path, vendor: RegistryServer, debian: RegistryServer, tmp_path: Path
) -> None:
    """Packed and pushed by helm itself."""
    host = debian.url.removeprefix("http://")
    for arguments in (
        ["package", str(chart), "-d", str(tmp_path)],
        ["push", f"{tmp_path}/shop-1.2.3.tgz", f"oci://{host}/charts", "--plain-http"],
    ):
        run = await asyncio.create_subprocess_exec(
            helm(), *arguments, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await run.wait() == 0
    pushed = (await debian.client().get_manifest("charts/shop", "1.2.3")).digest
    await push_image(debian, "team/web", "wrong")
    config = await config_of(vendor, (await build(from_repository(f"oci://{host}/charts"))).artifact)
    assert config.chart_digest == pushed
    assert len(config.images) == 3


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"chart": "other"}, "chart"), ({"version": "9"}, "version"), ({"repo_url": "ftp://x"}, "repo_url")],
)
async def test_a_chart_that_is_not_in_the_repository(
    build: Build, repository: Repository, wrong: dict[str, str], field: str
) -> None:
    failure = await failure_of(build, from_repository(repository.url, **wrong))
    assert (failure.code, failure.field) == ("chart_not_found", f"config.helm_repo.{field}")


async def test_a_package_that_the_index_does_not_know_is_refused(build: Build, repository: Repository) -> None:
    repository.digest = "0" * 64
    assert (await failure_of(build, from_repository(repository.url))).code == "chart_wrong"


HOSTILE = {
    "leaves": package(("../evil", b"x")),
    "absolute": package(("/etc/evil", b"x")),
    "a link": package(("shop/templates", None)),
    "twice": package(("shop/Chart.yaml", b"name: other")),
    "a bomb": gzip.compress(bytes(300 * 1024 * 1024), 9),
    "truncated": package()[:-20],
    "no archive": b"hello",
}


@pytest.mark.parametrize("name", list(HOSTILE))
async def test_a_hostile_package_is_refused(build: Build, repository: Repository, name: str) -> None:
    repository.package = HOSTILE[name]
    failure = await failure_of(build, from_repository(repository.url))
    assert (failure.code, failure.field) == ("unsafe_archive", "config.helm_repo")
