"""Manifests: what is in the layer, which images are found and travel, and what a kustomization may not reach."""

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from build_job import Build, BuildAgent
from helm_program import kubectl
from images import push_image
from registry_server import RegistryServer

from agent.artifact.manifest import KUBERNETES_ARTIFACT, MANIFESTS_TYPE, ManifestsConfig
from agent.build.closure.found_images import images_in
from agent.build.yaml_reader import YamlWrongError
from agent.failure import JobFailedError
from agent.oci.signature import verify
from agent.oci.vendor_key import VendorKey
from api.contract.base import Failure
from api.contract.components import KubernetesManifestConfig, PathSource, Source
from api.contract.resources import Artifact

POD = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - name: web\n      image: {image}\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def build(build_agent: BuildAgent) -> Build:
    return build_agent.builds("acme/crds")


@pytest.fixture
async def image(debian: RegistryServer) -> str:
    await push_image(debian, "team/web", "1")
    return f"{debian.url.removeprefix('http://')}/team/web:1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manifests/sub").mkdir(parents=True)
    return tmp_path / "manifests"


def of(folder: Path, **more: Any) -> KubernetesManifestConfig:
    return KubernetesManifestConfig(source=Source(path=PathSource(path=str(folder))), **more)


async def read(server: RegistryServer, artifact: Artifact) -> tuple[ManifestsConfig, dict[str, bytes]]:
    client = server.client()
    index = await client.get_manifest("acme/crds", artifact.digest)
    head = (await client.get_manifest("acme/crds", index.body().manifests[0].digest)).body()
    assert head.config
    config = await client.read_blob("acme/crds", head.config.digest, head.config.size)
    assert [layer.media_type for layer in head.layers] == [MANIFESTS_TYPE]
    layer = await client.read_blob("acme/crds", head.layers[0].digest, head.layers[0].size)
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    return ManifestsConfig.model_validate_json(config), files


async def failure_of(build: Build, config: KubernetesManifestConfig) -> Failure:
    with pytest.raises(JobFailedError) as failed:
        await build(config)
    return failed.value.failure


@pytest.mark.anyio
async def test_manifests_become_one_layer_with_their_images(
    build: Build, folder: Path, image: str, vendor: RegistryServer, debian: RegistryServer, key: VendorKey
) -> None:
    (folder / "a.yaml").write_text(POD.format(image=image))
    (folder / "sub/b.json").write_text('{"kind": "ConfigMap"}')
    (folder / "notes.txt").write_text("not a manifest")
    result = await build(of(folder))
    assert result.artifact.artifact_type == KUBERNETES_ARTIFACT
    await verify(vendor.client(), "acme/crds", result.artifact.digest, (key.public_pem,))
    config, files = await read(vendor, result.artifact)
    assert sorted(files) == list(config.files) == ["a.yaml", "sub/b.json"]
    digest = (await debian.client().get_manifest("team/web", "1")).digest
    assert config.images == {image: digest}
    await vendor.client().get_manifest("acme/crds", digest)


@pytest.mark.anyio
async def test_the_same_manifests_give_the_same_digest_on_another_day(build: Build, folder: Path, image: str) -> None:
    (folder / "a.yaml").write_text(POD.format(image=image))
    first = await build(of(folder))
    os.utime(folder / "a.yaml", (1, 1))
    assert (await build(of(folder))).artifact.digest == first.artifact.digest


@pytest.mark.anyio
async def test_an_inline_manifest_may_hold_references(build: Build, image: str, vendor: RegistryServer) -> None:
    text = POD.format(image=image) + "      args: [{{ inputs.domain }}]\n"
    own = "    - image: {{ components.web.image.repository }}@{{ components.web.image.digest }}\n"
    config, files = await read(vendor, (await build(KubernetesManifestConfig(manifest=text + own))).artifact)
    assert list(config.images) == [image]
    assert files == {"manifest.yaml": (text + own).encode()}


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["not an image", "127.0.0.1:1/team/web:{{ inputs.version }}"])
async def test_what_cannot_be_closed_is_named_with_line(build: Build, name: str) -> None:
    failure = await failure_of(build, KubernetesManifestConfig(manifest=POD.format(image=name)))
    assert (failure.code, failure.field) == ("not_closed", "config.manifest")
    assert "manifest.yaml:6: " in failure.message


@pytest.mark.anyio
async def test_all_leaks_are_named_at_once(build: Build, folder: Path, debian: RegistryServer) -> None:
    host = debian.url.removeprefix("http://")
    (folder / "a.yaml").write_text(POD.format(image=f"{host}/a:1"))
    (folder / "b.yaml").write_text(POD.format(image=f"{host}/b:1"))
    failure = await failure_of(build, of(folder))
    assert f"a.yaml:6: {host}/a:1" in failure.message
    assert f"b.yaml:6: {host}/b:1" in failure.message


@pytest.mark.anyio
async def test_closure_off_looks_for_nothing(build: Build, vendor: RegistryServer) -> None:
    config = KubernetesManifestConfig(manifest=POD.format(image="127.0.0.1:1/a:1"), closure="off")
    read_config, _ = await read(vendor, (await build(config)).artifact)
    assert (read_config.closure, read_config.images) == ("off", {})


@pytest.mark.anyio
async def test_a_folder_without_manifests(build: Build, folder: Path) -> None:
    assert (await failure_of(build, of(folder))).code == "no_manifests"


@pytest.mark.anyio
@pytest.mark.parametrize("content", ["a: [", "a: \x00", "[" * 100_000, "a: *b"])
async def test_a_file_that_is_not_yaml_is_named(build: Build, folder: Path, content: str) -> None:
    (folder / "bad.yaml").write_text(content)
    failure = await failure_of(build, of(folder))
    assert (failure.code, failure.field) == ("yaml_wrong", "config.source.path")
    assert "bad.yaml" in failure.message


@pytest.mark.anyio
async def test_a_kustomization_is_rendered(build: Build, folder: Path, image: str, vendor: RegistryServer) -> None:
    program = kubectl()
    (folder / "pod.yaml").write_text(POD.format(image="web") + "metadata: {name: web}\n")
    name, _, tag = image.rpartition(":")
    (folder / "kustomization.yaml").write_text(
        f"namePrefix: shop-\nresources: [pod.yaml]\nimages: [{{name: web, newName: '{name}', newTag: '{tag}'}}]\n"
    )

    async def kustomized() -> Artifact:
        return (await build(of(folder, kustomize=True), {"EXCLAVE_KUBECTL": program})).artifact

    config, files = await read(vendor, await kustomized())
    assert list(config.images) == [image]
    assert b"name: shop-web" in files["kustomized.yaml"]
    assert await kustomized() == await kustomized()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  - https://example.com/base.yaml", "https://example.com/base.yaml"),
        ("  - github.com/acme/base?ref=v1", "github.com/acme/base?ref=v1"),
        ("  - git@example.com:acme/base.git", "git@example.com:acme/base.git"),
    ],
)
async def test_a_remote_base_is_named_with_file_and_line(build: Build, folder: Path, line: str, shown: str) -> None:
    (folder / "sub/kustomization.yaml").write_text(f"resources:\n{line}\n")
    (folder / "kustomization.yaml").write_text("resources: [sub]\n")
    failure = await failure_of(build, of(folder, kustomize=True))
    assert failure.code == "not_closed"
    assert f"sub/kustomization.yaml:2: {shown}" in failure.message


@pytest.mark.anyio
async def test_a_kustomization_cannot_read_outside_of_its_folder(build: Build, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("kind: Secret\n")
    (folder / "kustomization.yaml").write_text("resources: [../../../secret.yaml]\n")
    failure = await failure_of(build, of(folder, kustomize=True) if kubectl() else of(folder))
    assert failure.code == "not_kustomized"


def names(text: str) -> list[tuple[str, bool]]:
    return [(image.name, image.sure) for image in images_in("x.yaml", text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("spec: {initContainers: [{image: busybox}]}", [("busybox", True)]),
        ("spec: {ephemeralContainers: [{image: 'a/b:1'}]}", [("a/b:1", True)]),
        ("spec: {image: {repository: team/web, tag: '1'}}", [("team/web:1", True)]),
        (
            "image: {registry: quay.io, repository: a, digest: 'sha256:" + "0" * 64 + "'}",
            [("quay.io/a@sha256:" + "0" * 64, True)],
        ),
        ("args: ['--reloader=quay.io/p/r:v1']", [("quay.io/p/r:v1", False)]),
        ("env: [{name: X_IMAGE, value: ghcr.io/a/b:1}]", [("ghcr.io/a/b:1", False)]),
        ("properties: {runner: {default: 'docker.io/library/busybox:1'}}", [("docker.io/library/busybox:1", False)]),
        ("url: https://quay.io/p/r:v1", []),
        ("address: web.shop.svc:8080", []),
        ("host: example.com/path", []),
        ("text: see quay.io/p/r:v1 for more", []),
        ("image: {pullPolicy: Always}", []),
        ("image: null", []),
        ("kind: A\n---\nimage: a\n---\n# nothing\n", [("a", True)]),
    ],
)
def test_what_is_taken_for_an_image(text: str, found: list[tuple[str, bool]]) -> None:
    assert names(text) == found


def test_lines_count_in_the_file_and_not_in_the_document() -> None:
    assert [image.line for image in images_in("x.yaml", "a: 1\n---\nb: 1\nimage: c\n")] == [4]


def test_a_bomb_of_aliases_is_read_once() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + at)}: &{chr(98 + at)} [{'*' + chr(97 + at)}, {'*' + chr(97 + at)}]\n" for at in range(22)
    )
    assert names(bomb) == []


def test_a_deep_document_is_refused() -> None:
    with pytest.raises(YamlWrongError, match="deep"):
        images_in("x.yaml", "[" * 100_000)
