"""Sources that mean harm, or are merely odd: each fails in words that name the field, and none takes the agent along."""

import asyncio
import gzip
import io
import os
import tarfile
import time
from pathlib import Path

import pytest
from registry_server import RegistryServer, serve
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agent.build.archive import UnsafeArchiveError, read_tgz
from agent.build.builder import BuildContext
from agent.build.docker_build.layout import LayoutWrongError, push_layout
from agent.build.git import GitFailedError, check_out
from agent.build.helm_chart.chart import ChartWrongError, chart_of_folder
from agent.build.helm_chart.repository import find_chart
from agent.build.image_reference import ImageReference
from agent.build.kubernetes_manifest import kustomize
from agent.build.mirror import PlatformMissingError, single
from agent.build.program import run_program
from agent.build.yaml_reader import YamlWrongError, load
from agent.bundle.zip_store import ZipStore
from agent.engine.find import Engine
from agent.failure import JobFailedError
from agent.oci.manifest import IMAGE_INDEX, Manifest, canonical_json
from api.contract.components import GitSource, HelmRepository

pytestmark = pytest.mark.anyio

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def context(tmp_path: Path, vendor: RegistryServer) -> BuildContext:
    async def no_engine() -> Engine:
        raise AssertionError

    return BuildContext(
        work=tmp_path,
        store=ZipStore(tmp_path / "cache"),
        target=vendor.client(),
        repository="acme/web",
        tag="bld_1",
        http=vendor.http,
        env=ENV,
        log=lambda line: None,
        engine=no_engine,
    )


def test_a_sparse_file_does_not_fill_the_memory() -> None:
    """Its header said a terabyte; a few bytes of archive became as many in memory."""
    entry = tarfile.TarInfo("chart/huge")
    entry.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "chart/huge",
        "GNU.sparse.realsize": str(1 << 40),
    }
    map_of_holes = b"1\n0\n0\n".ljust(512, b"\0")
    entry.size = len(map_of_holes)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(map_of_holes))
    with pytest.raises(UnsafeArchiveError, match="neither"):
        read_tgz(gzip.compress(buffer.getvalue()), most_bytes=1 << 20)


@pytest.mark.parametrize("text", ["!!bool x", '!!int ""', '!!float ""', "!!timestamp x", "? [a]\n: b", "!!binary x"])
def test_a_tag_whose_value_is_of_another_type(text: str) -> None:
    with pytest.raises(YamlWrongError, match=r"values\.yaml"):
        load("values.yaml", text)


@pytest.mark.parametrize(
    "content",
    [
        b"name: a\nversion: '1'\n2020-01-01: x\n",
        b"name: a\nversion: '1'\n1: x\nb: y\n",
        b"name: a\nversion: '1'\nx: .nan\n",
        "name: a\nversion: '1'\ndependencies: [{name: b}]\n".encode("utf-16"),
    ],
)
def test_a_chart_whose_metadata_is_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "Chart.yaml").write_bytes(content)
    with pytest.raises(ChartWrongError, match=r"Chart\.yaml"):
        chart_of_folder(tmp_path)


def test_a_kustomization_with_a_key_that_is_a_list(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("? [a]\n: b\nresources: ['https://example.com/base']\n")
    assert list(kustomize._leaks(tmp_path)) == ["kustomization.yaml:3: https://example.com/base"]


@pytest.mark.parametrize("platform", ["linux", {"os": 5}, ["linux"]])
async def test_an_index_with_platforms_of_its_own_kind(vendor: RegistryServer, platform: object) -> None:
    entry = {"mediaType": "x", "digest": DIGEST, "size": 1, "platform": platform}
    data = canonical_json({"schemaVersion": 2, "manifests": [entry]})
    found = Manifest(data, IMAGE_INDEX, DIGEST)
    with pytest.raises(PlatformMissingError, match="linux/amd64"):
        await single(vendor.client(), ImageReference.parse("a/b"), found, "linux/amd64")


@pytest.mark.service
@pytest.mark.parametrize("url", ["https://example.com/" + "a" * 5000, "a" * 5000, "a\0b"])
async def test_an_address_that_can_be_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(GitFailedError) as failed:
        await check_out(GitSource.model_construct(url=url, ref="main", subdirectory=""), tmp_path / "work", ENV)
    assert failed.value.failure.field == "config.source.git.url"


@pytest.mark.parametrize("content", ["", "[]", '{"manifests": 3}', '{"manifests": [{"digest": "../x", "size": 1}]}'])
async def test_a_layout_whose_index_cannot_be_read(context: BuildContext, tmp_path: Path, content: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.json").write_text(content)
    with pytest.raises(LayoutWrongError):
        await push_layout(tmp_path / "out", context)


@pytest.mark.service
async def test_what_a_program_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """It went on to run."""
    script = "sleep 300 >/dev/null 2>&1 & echo $!"
    said = (await run_program(["sh", "-c", script], folder=tmp_path, env=ENV, timeout=60)).output
    async with asyncio.timeout(240):
        while True:
            if not _runs(int(said)):
                return
            await asyncio.sleep(0.01)


@pytest.mark.service
async def test_what_leaves_the_programs_group_is_not_waited_for(tmp_path: Path) -> None:
    """It held the job beyond its time limit, for as long as it kept the pipe."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await run_program(["setsid", "-f", "sleep", "100"], folder=tmp_path, env=ENV, timeout=1)
    assert time.monotonic() - began < 60


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("redirects", [True, False])
async def test_a_chart_repository_does_not_lead_to_the_clouds_metadata(context: BuildContext, redirects: bool) -> None:
    """Neither the index's address of the package nor a redirect was looked at."""
    inside = "http://169.254.169.254/latest/meta-data"
    package = "web-1.tgz" if redirects else inside
    index = f"entries:\n  web:\n  - version: '1'\n    urls: ['{package}']\n"

    async def lead(request: object) -> Response:
        return RedirectResponse(inside)

    async def answer(request: object) -> Response:
        return Response(index)

    async with serve(Starlette(routes=[Route("/index.yaml", answer), Route("/web-1.tgz", lead)])) as url:
        with pytest.raises(JobFailedError, match="metadata") as failed:
            await find_chart(HelmRepository(repo_url=url, chart="web", version="1"), context)
    assert failed.value.failure.code == "chart_not_found"


@pytest.mark.parametrize("index", ["entries: {}", "entries:\n  web:\n  - version: '2'\n    urls: [x]\n", "[]"])
async def test_an_error_of_a_chart_repository_does_not_show_its_password(context: BuildContext, index: str) -> None:
    async def answer(request: object) -> Response:
        return Response(index)

    async with serve(Starlette(routes=[Route("/index.yaml", answer)])) as url:
        secret = url.replace("://", "://me:canary-helm-1@")
        with pytest.raises(JobFailedError) as failed:
            await find_chart(HelmRepository(repo_url=secret, chart="web", version="1"), context)
    assert "canary" not in failed.value.failure.model_dump_json()


@pytest.mark.parametrize("url", ["http://[bad/x.tgz", "ftp://example.com/x.tgz"])
async def test_a_chart_at_an_address_that_is_none(context: BuildContext, url: str) -> None:
    async def answer(request: object) -> Response:
        return Response(f"entries:\n  web:\n  - version: '1'\n    urls: ['{url}']\n")

    async with serve(Starlette(routes=[Route("/index.yaml", answer)])) as base:
        with pytest.raises(JobFailedError) as failed:
            await find_chart(HelmRepository(repo_url=base, chart="web", version="1"), context)
    assert failed.value.failure.code == "chart_not_found"


@pytest.mark.service
@pytest.mark.parametrize(
    "content", [os.urandom(300_000), b"\0" * 3_000_000], ids=["a large pack", "a small pack of large files"]
)
async def test_a_repository_that_is_too_large_does_not_fill_the_disk(content: bytes, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "large").write_bytes(content)
    identity = {f"GIT_{who}_{what}": "t@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        await run_program(["git", *arguments], folder=repository, env={**ENV, **identity}, timeout=60)
    source = GitSource(url=f"file://{repository}", ref="main")
    with pytest.raises(GitFailedError, match="and a source may have 100000") as refused:
        await check_out(source, tmp_path / "small", {**ENV, "EXCLAVE_GIT_BYTES": "100000"})
    assert "EXCLAVE_GIT_BYTES" in refused.value.failure.remedy
    assert sum(path.stat().st_size for path in (tmp_path / "small").rglob("*") if path.is_file()) < 250_000
    await check_out(source, tmp_path / "whole", ENV)
    assert (tmp_path / "whole" / "large").read_bytes() == content
