"""Dockerfiles: what the real buildah makes of them in the sandbox, and what a RUN in it can't reach."""

import asyncio
import io
import json
import os
import re
import shutil
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from build_job import Build, BuildAgent
from registry_server import RegistryServer, sha256

from agent.build.archive import tar
from agent.build.docker_build.dockerfile import DockerfileError, read_dockerfile
from agent.failure import JobFailedError
from agent.oci.manifest import IMAGE_MANIFEST
from agent.oci.push import push_bytes
from agent.oci.signature import verify
from agent.oci.vendor_key import VendorKey
from api.contract.base import Failure
from api.contract.components import DockerBuildConfig, PathSource, Source
from api.contract.resources import Artifact

CANARY = "canary-docker-7c1f"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def buildah() -> None:
    if shutil.which("buildah") is None or (os.getuid() != 0 and shutil.which("newuidmap") is None):
        pytest.skip("buildah is not installed (apt-get install buildah uidmap)")


@pytest.fixture
def build(build_agent: BuildAgent) -> Build:
    return build_agent.builds("acme/web")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    return tmp_path / "src"


@pytest.fixture
async def base(debian: RegistryServer) -> str:
    """An image of this machine's own shell and what it links to."""
    listed = await asyncio.create_subprocess_exec("ldd", "/bin/sh", stdout=asyncio.subprocess.PIPE)
    said, _ = await listed.communicate()
    paths = ["/bin/sh", *re.findall(r"(/\S+) \(0x", said.decode())]
    layer = tar({path.lstrip("/"): (Path(path).read_bytes(), True) for path in paths})
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
            "os": "linux",
            "config": {"Env": ["PATH=/bin"]},
            "history": [{"created_by": "the tests"}],
            "rootfs": {"type": "layers", "diff_ids": [sha256(layer)]},
        }
    ).encode()
    client = debian.client()
    for blob in (layer, config):
        await push_bytes(client, "base/sh", blob)
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(config), "size": len(config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256(layer), "size": len(layer)}],
    }
    await client.put_manifest("base/sh", "1", json.dumps(document).encode(), IMAGE_MANIFEST)
    return f"{debian.url.removeprefix('http://')}/base/sh:1"


def of(folder: Path, text: str, **more: Any) -> DockerBuildConfig:
    (folder / "Dockerfile").write_text(text)
    return DockerBuildConfig(source=Source(path=PathSource(path=str(folder))), **more)


async def files_of(server: RegistryServer, artifact: Artifact) -> dict[str, bytes]:
    """The files that the layers above the base add."""
    files: dict[str, bytes] = {}
    for layer in (await server.client().get_manifest("acme/web", artifact.digest)).body().layers:
        data = await server.client().read_blob("acme/web", layer.digest, layer.size)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            files |= {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}  # type: ignore[union-attr]
    return files


async def failure_of(build: Build, config: DockerBuildConfig, env: dict[str, str] | None = None) -> Failure:
    with pytest.raises(JobFailedError) as failed:
        await build(config, env=env)
    return failed.value.failure


@pytest.mark.anyio
@pytest.mark.usefixtures("buildah")
async def test_a_dockerfile_becomes_a_signed_image(
    build: Build, source: Path, base: str, vendor: RegistryServer, debian: RegistryServer, key: VendorKey
) -> None:
    (source / "hello.txt").write_text("hello")
    text = f'ARG TAG=wrong\nFROM {base[:-1]}$TAG AS made\nARG WHO\nCOPY hello.txt /\nRUN echo "$WHO" > /who\nFROM made\n'
    result = await build(of(source, text, build_args={"TAG": "1", "WHO": "me"}))
    await verify(vendor.client(), "acme/web", result.artifact.digest, (key.public_pem,))
    files = await files_of(vendor, result.artifact)
    assert (files["hello.txt"], files["who"]) == (b"hello", b"me\n")
    annotations = (await vendor.client().get_manifest("acme/web", result.artifact.digest)).body().annotations
    assert annotations["org.opencontainers.image.base.name"] == base
    assert annotations["org.opencontainers.image.base.digest"] == (await debian.client().get_manifest("base/sh", "1")).digest


@pytest.mark.anyio
@pytest.mark.usefixtures("buildah")
async def test_the_same_source_gives_the_same_digest_on_another_day(build: Build, source: Path, base: str) -> None:
    (source / "hello.txt").write_text("hello")
    config = of(source, f"FROM {base}\nCOPY hello.txt /\nRUN echo x > /made\n")
    first = await build(config)
    os.utime(source / "hello.txt", (1, 1))
    await asyncio.to_thread(_until_the_next_second)
    assert (await build(config)).artifact.digest == first.artifact.digest


def _until_the_next_second() -> None:
    """buildah's clock can't be moved: files that it makes have at least another second."""
    import time

    begun = int(time.time())
    while int(time.time()) == begun:
        time.sleep(0.01)


@pytest.mark.anyio
@pytest.mark.usefixtures("buildah")
async def test_a_run_is_nobody_sees_no_network_and_no_credential(
    build: Build, source: Path, base: str, vendor: RegistryServer
) -> None:
    probe = (
        "RUN while read a; do echo $a; done < /proc/net/dev > /net; read a b c < /proc/self/uid_map; echo $b > /user; "
        "set > /env; ls / 2>/dev/null; if echo x > /proc/sysrq-trigger; then echo yes; fi 2>/dev/null > /root-outside\n"
    )
    env = {"AWS_SECRET_ACCESS_KEY": CANARY, "EXCLAVE_AGENT_TOKEN": CANARY}
    result = await build(of(source, f"FROM {base}\n{probe}"), env=env)
    files = await files_of(vendor, result.artifact)
    interfaces = {line.split(":")[0].strip() for line in files["net"].decode().splitlines() if ":" in line}
    assert interfaces <= {"lo"}
    assert int(files["user"]) != 0
    assert CANARY.encode() not in files["env"]
    assert files["root-outside"] == b""


@pytest.mark.anyio
@pytest.mark.usefixtures("buildah")
async def test_a_secret_is_there_for_a_run_and_nowhere_else(
    build: Build, source: Path, base: str, vendor: RegistryServer, build_agent: BuildAgent
) -> None:
    # The commands of an image are in its history: this one must not have the secret itself.
    text = f'FROM {base}\nRUN --mount=type=secret,id=token read t < /run/secrets/token; echo "${{t#canary-}}" > /part\n'
    result = await build(of(source, text, secrets={"token": "deploy-token"}), secrets={"deploy-token": CANARY})
    files = await files_of(vendor, result.artifact)
    assert files["part"] == CANARY.removeprefix("canary-").encode() + b"\n"
    assert not [name for name, content in files.items() if CANARY.encode() in content]
    assert not [line for line in build_agent.log if CANARY in line]


@pytest.mark.anyio
@pytest.mark.usefixtures("buildah")
async def test_a_target_ends_the_build_early(build: Build, source: Path, base: str, vendor: RegistryServer) -> None:
    text = f"FROM {base} AS first\nRUN echo 1 > /first\nFROM first AS second\nRUN exit 3\n"
    assert "first" in await files_of(vendor, (await build(of(source, text, target="first"))).artifact)
    failure = await failure_of(build, of(source, text))
    assert failure.code == "image_not_built"
    assert "exit status 3" in failure.message
    assert (await failure_of(build, of(source, text, target="third"))).field == "config.target"


@pytest.mark.anyio
async def test_a_base_that_cannot_be_had_is_named_with_its_line(build: Build, source: Path, debian: RegistryServer) -> None:
    missing = f"{debian.url.removeprefix('http://')}/no/such:1"
    failure = await failure_of(build, of(source, f"# a comment\nFROM {missing}\nCOPY --from={missing}-b /a /b\n"))
    assert (failure.code, failure.field) == ("not_closed", "config.dockerfile")
    assert f"Dockerfile:2: {missing} can't be had" in failure.message
    assert f"Dockerfile:3: {missing}-b can't be had" in failure.message


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["none", "../outside", "/etc/passwd"])
async def test_a_dockerfile_outside_of_the_source(build: Build, source: Path, name: str) -> None:
    (source.parent / "outside").write_text("FROM scratch\n")
    failure = await failure_of(build, of(source, "", dockerfile=name))
    assert (failure.code, failure.field) == ("dockerfile_not_found", "config.dockerfile")


@pytest.fixture
def builder(tmp_path: Path) -> Callable[[str], str]:
    """A builder command of the vendor's: a shell script."""

    def write(script: str) -> str:
        path = tmp_path / "builder"
        path.write_text(f"#!/bin/sh\nset -e\n{script}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return write


@pytest.mark.anyio
async def test_another_builder_leaves_a_layout(
    build: Build, source: Path, base: str, builder: Callable[[str], str], debian: RegistryServer
) -> None:
    """This one gives the base back."""
    checks = '[ "$TARGET" = "" ] && [ -f "$CONTEXT/Dockerfile" ]\ngrep -q "FROM localhost/" "$DOCKERFILE"\n'
    command = builder(checks + 'cp -r "$CONTEXT/../base-0" "$OUT"\n')
    result = await build(of(source, f"FROM {base}\n"), env={"EXCLAVE_BUILDER": command})
    assert result.artifact.digest == (await debian.client().get_manifest("base/sh", "1")).digest


@pytest.mark.anyio
@pytest.mark.parametrize(
    "script",
    [
        'mkdir -p "$OUT"; ln -s /etc/passwd "$OUT/index.json"',
        'cp -r "$CONTEXT/../base-0" "$OUT"; for f in "$OUT"/blobs/sha256/*; do echo x >> "$f"; done',
        'cp -r "$CONTEXT/../base-0" "$OUT"; rm "$OUT"/blobs/sha256/*',
        'mkdir "$OUT"; echo "{}" > "$OUT/index.json"',
        "exit 4",
    ],
)
async def test_a_wrong_layout_is_refused(
    build: Build, source: Path, base: str, builder: Callable[[str], str], script: str
) -> None:
    failure = await failure_of(build, of(source, f"FROM {base}\n"), {"EXCLAVE_BUILDER": builder(script + "\n")})
    assert failure.code in ("image_not_built", "digest_mismatch")


def outside(text: str, **args: str) -> list[tuple[str, int]]:
    return [(base.image, base.line) for base in read_dockerfile(text, args, None).bases]


def test_what_a_dockerfile_takes_from_outside() -> None:
    text = (
        "# syntax=docker/dockerfile:1\nARG V=1 OTHER\nFROM --platform=$BUILDPLATFORM golang:${V} AS Build\nARG V=9\n"
        "COPY --from=alpine:3 /a /b\n"
        "RUN --mount=type=bind,from=tools:2,target=/t \\\n  --mount=from=build,type=bind,target=/u x\n"
        "FROM scratch\nCOPY --from=build /x /y\nCOPY --from=0 /x /z\nFROM ${OTHER:-busybox}\n"
    )
    assert outside(text) == [("golang:1", 3), ("alpine:3", 5), ("tools:2", 6), ("busybox", 11)]
    assert outside(text, V="2", OTHER="x")[0] == ("golang:2", 3)
    rewritten = read_dockerfile(text, {}, None).rewritten(lambda image: f"<{image}>").splitlines()
    assert rewritten[2] == "FROM --platform=$BUILDPLATFORM <golang:1> AS Build"
    assert rewritten[5:7] == ["RUN --mount=type=bind,from=<tools:2>,target=/t \\", "  --mount=from=build,type=bind,target=/u x"]


@pytest.mark.parametrize(("text", "message"), [("RUN x", "no FROM"), ("FROM $A", "line 1"), ("FROM a \\\n AS b", "line 1")])
def test_a_dockerfile_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        outside(text)
