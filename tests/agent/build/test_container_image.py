"""Images that exist: what arrives in the vendor's registry, and how each private source is opened."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from build_job import Build, BuildAgent
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fake_clouds import AGENT_ACCESS_KEY, AGENT_ACCOUNT, OWNER_ACCOUNT, OWNER_ROLE, PROVIDER, FakeAws, FakeGoogle
from images import push_image, push_index
from private_registry import private_registry
from registry_server import RegistryServer, serve

from agent.artifact.outputs import IMAGE_OUTPUTS
from agent.build.container_image.gar import GoogleEndpoints
from agent.failure import JobFailedError
from agent.oci.signature import verify
from agent.oci.vendor_key import VendorKey
from api.components.modules import check_modules
from api.contract.base import Failure
from api.contract.components import ComponentConfig, ContainerImageConfig, PathSource, Source, TerraformModuleConfig
from api.contract.image_sources import AcrImage, EcrImage, GarImage, PublicImage, RegistryImage

pytestmark = pytest.mark.anyio

WEB = "team/web"


@pytest.fixture
def build(build_agent: BuildAgent) -> Build:
    return build_agent.builds("acme/web")


@pytest.fixture
async def private(tmp_path: Path, http: httpx.AsyncClient) -> AsyncIterator[RegistryServer]:
    async with private_registry(tmp_path / "private", http) as server:
        yield server


def host(server: RegistryServer) -> str:
    return server.url.removeprefix("http://")


def public(server: RegistryServer, tag: str = "1.0", platforms: list[str] | None = None) -> ContainerImageConfig:
    image = PublicImage(image_url=f"{host(server)}/{WEB}", tag=tag)
    return ContainerImageConfig(public=image, platforms=platforms or [])


async def failure_of(build: Build, config: ContainerImageConfig, secrets: dict[str, str] | None = None) -> Failure:
    with pytest.raises(JobFailedError) as failed:
        await build(config, secrets=secrets)
    return failed.value.failure


async def test_a_tag_is_resolved_and_copied_by_digest_and_signed(
    build: Build, debian: RegistryServer, vendor: RegistryServer, key: VendorKey
) -> None:
    digests = await push_index(debian, WEB, "1.0", "linux/amd64", "linux/arm64")
    result = await build(public(debian))
    assert result.artifact.digest == result.source_revision == digests["index"]
    await verify(vendor.client(), "acme/web", digests["index"], (key.public_pem,))
    for digest in digests.values():
        copied = await vendor.client().get_manifest("acme/web", digest)
        assert copied.data == (await debian.client().get_manifest(WEB, digest)).data


async def test_a_build_declares_what_an_install_says_of_the_image(build: Build, debian: RegistryServer) -> None:
    """Else the IMS refuses a release that refers to it."""
    await push_image(debian, WEB, "1.0")
    made = await build(public(debian))
    configs: dict[str, ComponentConfig] = {
        "web": public(debian),
        "service": TerraformModuleConfig(
            source=Source(path=PathSource(path="/src")),
            variables={name: f"{{{{ components.web.outputs.{name} }}}}" for name in (*IMAGE_OUTPUTS, "id")},
        ),
    }
    (failure,) = check_modules(configs, {"web": made})
    assert failure.field == "components.service.variables.id"


async def test_a_digest_in_place_of_a_tag(build: Build, debian: RegistryServer) -> None:
    digest = (await push_image(debian, WEB, "1.0"))["digest"]
    assert (await build(public(debian, tag=digest))).artifact.digest == digest


async def test_a_moved_tag_gives_another_digest(build: Build, debian: RegistryServer) -> None:
    await push_image(debian, WEB, "1.0", content="old")
    old = await build(public(debian))
    await push_image(debian, WEB, "1.0", content="new")
    assert (await build(public(debian))).artifact.digest != old.artifact.digest


async def test_chosen_platforms_are_copied_and_no_others(build: Build, debian: RegistryServer, vendor: RegistryServer) -> None:
    digests = await push_index(debian, WEB, "1.0", "linux/amd64", "linux/arm/v7", "linux/arm64/v8")
    result = await build(public(debian, platforms=["linux/amd64", "linux/arm64"]))
    index = await vendor.client().get_manifest("acme/web", result.artifact.digest)
    listed = [entry.digest for entry in index.body().manifests]
    assert listed == [digests["linux/amd64"], digests["linux/arm64/v8"], digests["attestation"]]
    assert await vendor.client().find_manifest("acme/web", digests["linux/arm/v7"]) is None
    assert (await build(public(debian, platforms=["linux/amd64", "linux/arm64"]))).artifact == result.artifact


async def test_one_chosen_platform_is_that_image_itself(build: Build, debian: RegistryServer) -> None:
    digests = await push_index(debian, WEB, "1.0", "linux/amd64", "linux/arm64")
    result = await build(public(debian, platforms=["linux/arm64"]))
    assert result.artifact.digest == digests["linux/arm64"]


@pytest.mark.parametrize("several", [True, False])
async def test_a_platform_that_is_not_there_is_named(build: Build, debian: RegistryServer, several: bool) -> None:
    if several:
        await push_index(debian, WEB, "1.0", "linux/amd64", "linux/arm64")
    else:
        await push_image(debian, WEB, "1.0")
    failure = await failure_of(build, public(debian, platforms=["linux/s390x"]))
    assert (failure.code, failure.field) == ("platform_missing", "config.platforms")
    assert "linux/s390x" in failure.message
    assert "linux/amd64" in failure.remedy


async def test_an_image_that_is_not_there(build: Build, debian: RegistryServer) -> None:
    failure = await failure_of(build, public(debian))
    assert (failure.code, failure.field) == ("image_not_found", "config.public.image_url")


@pytest.mark.parametrize("url", ["ht!tp", "a b", "Acme/Web", "host/../etc"])
async def test_a_name_that_cannot_be_an_images(build: Build, url: str) -> None:
    failure = await failure_of(build, ContainerImageConfig(public=PublicImage(image_url=url, tag="1")))
    assert (failure.code, failure.field) == ("image_name_wrong", "config.public.image_url")


def login(server: RegistryServer) -> ContainerImageConfig:
    image = RegistryImage(image_url=f"{host(server)}/{WEB}", tag="1.0", username="writer", password_secret="pull")
    return ContainerImageConfig(registry=image)


async def test_a_login_by_basic_authentication(build: Build, private: RegistryServer) -> None:
    digest = (await push_image(private, WEB, "1.0"))["digest"]
    assert (await build(login(private), secrets={"pull": "secret"})).artifact.digest == digest


async def test_a_login_by_token(build: Build, customer: RegistryServer) -> None:
    digest = (await push_image(customer, WEB, "1.0"))["digest"]
    assert (await build(login(customer), secrets={"pull": "secret"})).artifact.digest == digest


async def test_a_wrong_password_is_blamed_on_its_secret(build: Build, private: RegistryServer) -> None:
    await push_image(private, WEB, "1.0")
    failure = await failure_of(build, login(private), {"pull": "a wrong one"})
    assert (failure.code, failure.field) == ("image_access_refused", "config.registry.password_secret")
    assert not failure.retryable
    assert "a wrong one" not in failure.message


async def test_a_secret_that_did_not_come(build: Build, private: RegistryServer) -> None:
    failure = await failure_of(build, login(private))
    assert (failure.code, failure.field) == ("secret_missing", "config.registry.password_secret")


async def test_a_service_principal_of_azure(build: Build, private: RegistryServer) -> None:
    digest = (await push_image(private, WEB, "1.0"))["digest"]
    image = AcrImage(
        image_url=f"{host(private)}/{WEB}",
        tag="1.0",
        registry_url=host(private),
        tenant_id="tenant",
        client_id="principal",
        client_secret_name="azure",
    )
    assert (await build(ContainerImageConfig(azure_acr=image), secrets={"azure": "secret"})).artifact.digest == digest


@dataclass
class Clouds:
    aws: FakeAws
    google: FakeGoogle


@pytest.fixture
async def clouds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Clouds]:
    """Both clouds, with the machine's own identities out of reach."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    found = Clouds(FakeAws(google_key=key.public_key()), FakeGoogle(pem, key.public_key()))
    async with serve(found.aws.app()) as aws, serve(found.google.app()) as google:
        for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr("agent.build.container_image.gar.GOOGLE", GoogleEndpoints(f"{google}/sts", google))
        (tmp_path / "google").write_text(google)
        yield found


@pytest.fixture(params=["aws", "google"])
def hosted(request: pytest.FixtureRequest, clouds: Clouds, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Where the build agent runs, and so which identity it has."""
    if request.param == "aws":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", AGENT_ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    else:
        account = {
            "type": "service_account",
            "client_email": AGENT_ACCOUNT,
            "token_uri": f"{(tmp_path / 'google').read_text()}/oauth",
            "private_key": clouds.google.key,
            "private_key_id": "1",
            "project_id": "vendor",
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
    return str(request.param)


def ecr(server: RegistryServer, external_id: str | None = "acme-42", role: str = OWNER_ROLE) -> ContainerImageConfig:
    image = EcrImage(
        image_url=f"{host(server)}/{WEB}", tag="1.0", region="eu-west-1", iam_role_arn=role, external_id=external_id
    )
    return ContainerImageConfig(aws_ecr=image)


def gar(server: RegistryServer, email: str = OWNER_ACCOUNT, provider: str = PROVIDER) -> ContainerImageConfig:
    image = GarImage(
        image_url=f"{host(server)}/{WEB}",
        tag="1.0",
        gcp_project_id="owner",
        region="europe-west1",
        service_account_email=email,
        workload_identity_provider=provider,
    )
    return ContainerImageConfig(gcp_gar=image)


async def test_ecr_from_either_cloud(build: Build, private: RegistryServer, clouds: Clouds, hosted: str) -> None:
    digest = (await push_image(private, WEB, "1.0"))["digest"]
    assert (await build(ecr(private))).artifact.digest == digest
    how = {"aws": "AssumeRole", "google": "AssumeRoleWithWebIdentity"}[hosted]
    assert clouds.aws.calls == [how, "GetAuthorizationToken"]


async def test_gar_from_either_cloud(build: Build, private: RegistryServer, clouds: Clouds, hosted: str) -> None:
    digest = (await push_image(private, WEB, "1.0"))["digest"]
    assert (await build(gar(private))).artifact.digest == digest
    assert clouds.google.calls == {"aws": ["exchange", "impersonate"], "google": ["access_token", "impersonate"]}[hosted]


@pytest.mark.parametrize("hosted", ["aws"], indirect=True)
@pytest.mark.parametrize("wrong", [{"external_id": "another"}, {"external_id": None}, {"role": f"{OWNER_ROLE}-2"}])
async def test_a_role_that_is_not_given_is_blamed(
    build: Build, private: RegistryServer, clouds: Clouds, hosted: str, wrong: dict[str, str]
) -> None:
    failure = await failure_of(build, ecr(private, **wrong))
    assert (failure.code, failure.field) == ("cloud_access_refused", "config.aws_ecr.iam_role_arn")
    assert "external_id" in failure.remedy


async def test_an_account_that_may_not_be_impersonated(
    build: Build, private: RegistryServer, clouds: Clouds, hosted: str
) -> None:
    clouds.google.members.clear()
    failure = await failure_of(build, gar(private))
    blamed = {"aws": "workload_identity_provider", "google": "service_account_email"}[hosted]
    assert (failure.code, failure.field) == ("cloud_access_refused", f"config.gcp_gar.{blamed}")


@pytest.mark.parametrize("hosted", ["aws"], indirect=True)
async def test_another_workload_identity_provider(build: Build, private: RegistryServer, clouds: Clouds, hosted: str) -> None:
    failure = await failure_of(build, gar(private, provider=PROVIDER.replace("exclave-aws", "other")))
    assert failure.code == "cloud_access_refused"


async def test_an_agent_without_any_identity(build: Build, private: RegistryServer, clouds: Clouds) -> None:
    assert (await failure_of(build, ecr(private))).code == "cloud_access_refused"
    assert (await failure_of(build, gar(private))).code == "cloud_access_refused"
