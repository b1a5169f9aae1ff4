"""Private images that components name: read with the logins of the build agent's machine, of which nothing is ever shown."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from artifacts import image
from build_job import BuildAgent
from private_registry import private_registry
from registry_server import RegistryServer

from agent.build.image_reference import ImageReference
from agent.build.named_images import nearest_to
from agent.build.registry_logins import LoginsWrongError, login_for
from agent.failure import JobFailedError
from api.contract.base import Failure
from api.contract.components import ContainerImageConfig, KubernetesManifestConfig
from api.contract.image_sources import EcrImage, RegistryImage

pytestmark = pytest.mark.anyio

CANARY = "canary-login-55"


@pytest.fixture
async def private(tmp_path: Path, http: httpx.AsyncClient) -> AsyncIterator[RegistryServer]:
    async with private_registry(tmp_path / "private", http) as server:
        found = await image(server.client(), "team/web")
        manifest = await server.client().get_manifest("team/web", found["digest"])
        await server.client().put_manifest("team/web", "1", manifest.data, manifest.media_type)
        yield server


def auth(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def logins(folder: Path, content: object) -> dict[str, str]:
    (folder / ".docker").mkdir(exist_ok=True)
    (folder / ".docker" / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return {"HOME": str(folder)}


def pod(host: str) -> KubernetesManifestConfig:
    return KubernetesManifestConfig(manifest=f"kind: Pod\nspec:\n  containers:\n  - image: {host}/team/web:1\n")


async def test_a_private_image_travels_with_the_login_of_the_agents_machine(
    build_agent: BuildAgent, private: RegistryServer, tmp_path: Path
) -> None:
    host = private.url.removeprefix("http://")
    build = build_agent.builds("acme/pod")
    with pytest.raises(JobFailedError) as failed:
        await build(pod(host))
    assert failed.value.failure.code == "not_closed"
    assert "docker login" in failed.value.failure.remedy
    result = await build(pod(host), env=logins(tmp_path, {"auths": {host: auth("writer", "secret")}}))
    index = await build_agent.vendor.client().get_manifest("acme/pod", result.artifact.digest)
    web = await private.client().get_manifest("team/web", "1")
    assert web.digest in [each.digest for each in index.body().manifests]


def component(image_url: str, user: str = "writer") -> ContainerImageConfig:
    image = RegistryImage(image_url=image_url, tag="1", username=user, password_secret="pull")
    return ContainerImageConfig(registry=image)


async def test_a_private_image_travels_with_the_login_of_another_component(
    build_agent: BuildAgent, private: RegistryServer
) -> None:
    host = private.url.removeprefix("http://")
    build = build_agent.builds("acme/pod")
    beside = [component(f"{host}/team/api")]
    for secrets, code in (({"pull": CANARY}, "not_closed"), ({}, "secret_missing")):
        with pytest.raises(JobFailedError) as failed:
            await build(pod(host), secrets=secrets, images=beside)
        assert failed.value.failure.code == code
        assert CANARY not in failed.value.failure.model_dump_json()
    assert (failed.value.failure.field, f"{host}/team/web:1" in failed.value.failure.message) == (None, True)
    result = await build(pod(host), secrets={"pull": "secret"}, images=beside)
    index = await build_agent.vendor.client().get_manifest("acme/pod", result.artifact.digest)
    web = await private.client().get_manifest("team/web", "1")
    assert web.digest in [each.digest for each in index.body().manifests]
    assert not [line for line in build_agent.log if CANARY in line or "secret" in line]


async def test_the_login_of_the_agents_machine_comes_before_that_of_another_component(
    build_agent: BuildAgent, private: RegistryServer, tmp_path: Path
) -> None:
    host = private.url.removeprefix("http://")
    env = logins(tmp_path, {"auths": {host: auth("writer", "secret")}})
    await build_agent.builds("acme/pod")(pod(host), env=env, secrets={"pull": CANARY}, images=[component(f"{host}/team/x")])


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ghcr.io/acme/web", "ghcr.io/acme/api"),
        ("ghcr.io/acme/tools/web", "ghcr.io/acme/tools/cli"),
        ("ghcr.io/somebody/web", None),
        ("ghcr.io.evil.example/acme/web", None),
        ("quay.io/acme/web", None),
        ("nginx", None),
    ],
)
def test_which_components_login_is_for_which_image(name: str, nearest: str | None) -> None:
    beside = [component("quay.io/other/web"), component("ghcr.io/acme/api"), component("ghcr.io/acme/tools/cli")]
    found = nearest_to(ImageReference.parse(name), beside)
    assert (found and found.registry and found.registry.image_url) == nearest


def test_all_repositories_of_a_registry_with_one_owner_are_reached_alike() -> None:
    host = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
    ecr = EcrImage(image_url=f"{host}/api", tag="1", region="eu-west-1", iam_role_arn="arn:aws:iam::222222222222:role/x")
    beside = [ContainerImageConfig(aws_ecr=ecr)]
    assert nearest_to(ImageReference.parse(f"{host}/web:1"), beside) == beside[0]
    assert nearest_to(ImageReference.parse(f"3{host[1:]}/web:1"), beside) is None


async def test_a_wrong_login_is_not_shown(build_agent: BuildAgent, private: RegistryServer, tmp_path: Path) -> None:
    host = private.url.removeprefix("http://")
    build = build_agent.builds("acme/pod")
    for content in ({"auths": {host: auth("writer", CANARY)}}, {"auths": {host: {"auth": CANARY}}}, f'{{"auths": "{CANARY}'):
        with pytest.raises(JobFailedError) as failed:
            await build(pod(host), env=logins(tmp_path, content))
        failure: Failure = failed.value.failure
        assert CANARY not in failure.model_dump_json()
        assert failure.remedy
    assert not [line for line in build_agent.log if CANARY in line]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("https://index.docker.io/v1/", "nginx"),
        ("docker.io", "team/web"),
        ("ghcr.io", "ghcr.io/acme/web:1"),
        ("ghcr.io/acme", "ghcr.io/acme/web@sha256:" + "0" * 64),
        ("localhost:5000", "localhost:5000/web"),
    ],
)
def test_which_login_is_for_which_image(tmp_path: Path, key: str, name: str) -> None:
    found = login_for(ImageReference.parse(name), logins(tmp_path, {"auths": {key: auth("me", "a:b")}}))
    assert found is not None
    assert (found.username, found.password) == ("me", "a:b")
    for other in ("quay.io/acme/web", "ghcr.io.evil.example/acme/web", "localhost:50000/web"):
        assert login_for(ImageReference.parse(other), logins(tmp_path, {"auths": {key: auth("me", "x")}})) is None


def test_the_login_of_a_part_of_a_registry_comes_first(tmp_path: Path) -> None:
    env = logins(tmp_path, {"auths": {"ghcr.io": auth("all", "x"), "ghcr.io/acme/web": auth("one", "x"), "ghcr.io/acme": {}}})
    for name, user in {"ghcr.io/acme/web": "one", "ghcr.io/acme/api": "all"}.items():
        found = login_for(ImageReference.parse(name), env)
        assert found is not None
        assert found.username == user


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    assert login_for(ImageReference.parse("nginx"), {"HOME": str(tmp_path)}) is None
    with pytest.raises(LoginsWrongError, match="No such file"):
        login_for(ImageReference.parse("nginx"), {"EXCLAVE_REGISTRY_LOGINS": str(tmp_path / "none")})
