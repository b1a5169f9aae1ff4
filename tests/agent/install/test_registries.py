"""The customer's registry in a cloud.

AWS is botocore's own client with answers written from ECR's API reference (moto's ECR knows no time that is to come); Google's
token is given. That Basic credentials go along with each request, as ECR wants it, is in `tests/agent/oci/test_client.py`.
"""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from botocore.session import get_session
from botocore.stub import Stubber

from agent.install.registries import (
    CloudRegistryError,
    CustomerRegistry,
    Ecr,
    EcrWriter,
    Gar,
    GarWriter,
    RegistryWriter,
    read_writer,
)
from agent.oci.token import Credential

pytestmark = pytest.mark.anyio

HOST = "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
ECR = EcrWriter(kind="aws_ecr", url=HOST, prefix="exclave")


@pytest.fixture
def aws() -> Iterator[Stubber]:
    session = get_session()
    session.set_credentials("AKIA", "secret")
    with Stubber(session.create_client("ecr", region_name="eu-west-1")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def registry(aws: Stubber, http: httpx.AsyncClient, writer: EcrWriter = ECR) -> CustomerRegistry:
    return CustomerRegistry(writer, http, Ecr(writer, lambda _: aws.client), now=lambda: NOW)


def made(immutable: bool = True) -> dict[str, object]:
    wanted: dict[str, object] = {"repositoryName": "exclave/acme/app", "tags": [{"Key": "managed-by", "Value": "exclave"}]}
    if immutable:
        wanted["imageTagMutability"] = "IMMUTABLE_WITH_EXCLUSION"
        wanted["imageTagMutabilityExclusionFilters"] = [{"filterType": "WILDCARD", "filter": "sha256-*"}]
    return wanted


async def test_an_ecr_repository_is_made_before_its_first_push_and_never_again(aws: Stubber, http: httpx.AsyncClient) -> None:
    aws.add_response("create_repository", {}, made())
    here = registry(aws, http)
    await here.make_ready("acme/app")
    await here.make_ready("acme/app")
    assert here.repository("acme/app") == "exclave/acme/app"


async def test_an_ecr_repository_that_exists_is_as_good(aws: Stubber, http: httpx.AsyncClient) -> None:
    aws.add_client_error("create_repository", "RepositoryAlreadyExistsException", expected_params=made(immutable=False))
    await registry(aws, http, ECR.model_copy(update={"immutable_tags": False})).make_ready("acme/app")


AGENT, NODES = "arn:aws:iam::123456789012:role/exclave-agent", "arn:aws:iam::123456789012:role/nodes"
SOLE = {"kind": "aws_ecr", "url": HOST, "prefix": "exclave", "sole_writer": AGENT}


@pytest.mark.parametrize("exists", [False, True])
async def test_a_sole_writer_is_set_before_the_first_push_whoever_made_the_repository(
    aws: Stubber, http: httpx.AsyncClient, exists: bool
) -> None:
    writer = EcrWriter.model_validate(SOLE)
    if exists:
        aws.add_client_error("create_repository", "RepositoryAlreadyExistsException", expected_params=made())
    else:
        aws.add_response("create_repository", {}, made())
    text = json.dumps(writer.policy())
    aws.add_response("set_repository_policy", {}, {"repositoryName": "exclave/acme/app", "policyText": text})
    here = registry(aws, http, writer)
    await here.make_ready("acme/app")
    await here.make_ready("acme/app")


async def test_a_policy_that_aws_refuses_stops_the_sync(aws: Stubber, http: httpx.AsyncClient) -> None:
    aws.add_response("create_repository", {}, made())
    aws.add_client_error("set_repository_policy", "AccessDeniedException", "not authorized to perform: ecr:SetRepositoryPolicy")
    with pytest.raises(CloudRegistryError, match="ecr:SetRepositoryPolicy"):
        await registry(aws, http, EcrWriter.model_validate(SOLE)).make_ready("acme/app")


def test_a_sole_writers_policy_denies_writes_to_others_and_reads_to_all_but_the_readers() -> None:
    """`sole-writer`"""
    policy = EcrWriter.model_validate({**SOLE, "readers": [NODES]}).policy()
    assert policy is not None
    writes, reads = policy["Statement"]
    assert {"ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:BatchDeleteImage"} <= set(writes["Action"])
    assert writes["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": [AGENT]}}
    assert reads["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": [AGENT, NODES]}}
    assert {each["Effect"] for each in policy["Statement"]} == {"Deny"}
    assert not set(reads["Action"]) & set(writes["Action"])
    only = EcrWriter.model_validate(SOLE).policy()
    assert only is not None
    assert [each["Sid"] for each in only["Statement"]] == ["SoleWriter"]
    assert ECR.policy() is None


@pytest.mark.parametrize("change", [{"sole_writer": "exclave-agent"}, {"sole_writer": None, "readers": [NODES]}])
def test_a_sole_writer_is_a_role_by_its_arn(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="sole_writer"):
        EcrWriter.model_validate({**SOLE, **change})


async def test_a_refusal_of_aws_is_told_in_its_words(aws: Stubber, http: httpx.AsyncClient) -> None:
    aws.add_client_error("create_repository", "AccessDeniedException", "not authorized to perform: ecr:CreateRepository")
    with pytest.raises(CloudRegistryError, match="ecr:CreateRepository") as refused:
        await registry(aws, http).make_ready("acme/app")
    assert "use-a-cloud-registry" in refused.value.failure.remedy


async def test_ecrs_password_is_kept_until_shortly_before_it_ends(aws: Stubber, http: httpx.AsyncClient) -> None:
    now = NOW
    for password in ("first", "second"):
        token = base64.b64encode(f"AWS:{password}".encode()).decode()
        data = {"authorizationToken": token, "expiresAt": now + timedelta(hours=12), "proxyEndpoint": HOST}
        aws.add_response("get_authorization_token", {"authorizationData": [data]}, {})
        data["expiresAt"] = NOW + timedelta(hours=12)
    here = CustomerRegistry(ECR, http, Ecr(ECR, lambda _: aws.client), now=lambda: now)
    await here.client()
    now += timedelta(hours=11, minutes=49)
    assert await here._credential() == Credential("AWS", "first")
    now += timedelta(minutes=2)
    assert await here._credential() == Credential("AWS", "second")


async def test_google_gives_a_token_for_an_hour(http: httpx.AsyncClient) -> None:
    writer = GarWriter(kind="gcp_gar", url="https://europe-west1-docker.pkg.dev", prefix="project/mirror")
    tokens = iter(["one", "two"])
    now = NOW
    here = CustomerRegistry(writer, http, Gar(writer, lambda: next(tokens), lambda: now), now=lambda: now)
    assert here.repository("acme/app") == "project/mirror/acme/app"
    assert await here._credential() == Credential("oauth2accesstoken", "one")
    now += timedelta(minutes=46)
    assert await here._credential() == Credential("oauth2accesstoken", "two")
    await here.make_ready("acme/app")


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"url": "http://127.0.0.1:1", "username": "writer", "password": "x"}, RegistryWriter),
        ({"kind": "aws_ecr", "url": HOST}, EcrWriter),
        ({"kind": "gcp_gar", "url": "https://europe-west1-docker.pkg.dev", "prefix": "project/mirror"}, GarWriter),
    ],
)
def test_the_file_says_which_registry_it_is(tmp_path: Path, document: dict[str, str], kind: type) -> None:
    (tmp_path / "registry.json").write_text(json.dumps(document))
    assert type(read_writer(tmp_path / "registry.json")) is kind


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "aws_ecr", "url": "https://evil.test/123456789012.dkr.ecr.eu-west-1.amazonaws.com"},
        {"kind": "aws_ecr", "url": HOST.replace("https", "http")},
        {"kind": "gcp_gar", "url": "https://europe-west1-docker.pkg.dev"},
        {"kind": "floppy", "url": "https://x.test"},
        ["no", "object"],
    ],
)
def test_a_file_that_cant_be_right_is_refused(tmp_path: Path, document: object) -> None:
    (tmp_path / "registry.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="validation error"):
        read_writer(tmp_path / "registry.json")


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
    ],
)
def test_the_region_is_in_the_registrys_name(host: str, region: str) -> None:
    assert EcrWriter(kind="aws_ecr", url=f"https://{host}").region == region
