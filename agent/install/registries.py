"""The customer's registry, of any kind: how the agent signs in to it, and what a repository needs before its first push.

The file of `--registry-credentials` says which: a name and a password (the built-in registry, Harbor, Azure, any other), or
that the agent's own identity in its cloud is to be used (Amazon ECR, Google Artifact Registry): then it has no secret.
"""

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from agent.failure import CodedError
from agent.oci.client import DEFAULT_RETRY, RegistryClient
from agent.oci.retry import RetryPolicy
from agent.oci.token import Credential

_ECR_HOST = re.compile(r"\d+\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com|on\.aws|amazonaws\.com\.cn)")
_ECR_URL = re.compile(rf"https://{_ECR_HOST.pattern}/?")
_EARLY = timedelta(minutes=10)
_GOOGLE_HOUR = timedelta(minutes=55)
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"

_Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/-]+$")]
_READS = ("BatchGetImage", "GetDownloadUrlForLayer")
_WRITES = ("BatchDeleteImage", "CompleteLayerUpload", "InitiateLayerUpload", "PutImage", "UploadLayerPart")

FOLLOW_UP_TAGS = "sha256-*"
"""The tags of signatures and referrers. They are written again when one is added, also where tags are immutable."""


class CloudRegistryError(CodedError):
    """The cloud gives no access to its registry, or makes no repository in it."""

    code = "cloud_registry_refused"
    remedy = "Check that the agent's identity may use the registry: see docs/how-to/use-a-cloud-registry.md."
    retryable = True


class _Registry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    prefix: str = Field(default="", description="A path before the name of each repository, such as `exclave`.")

    def repository(self, name: str) -> str:
        """Where a repository of the vendor's is in this registry."""
        return "/".join(filter(None, [self.prefix.strip("/"), name]))


class RegistryWriter(_Registry):
    """Any registry with a name and a password, such as the file that `exclave registry` writes for its only writer."""

    kind: Literal["login"] = "login"
    username: str
    password: str = Field(repr=False)


def _denied(name: str, actions: tuple[str, ...], but_to: list[str]) -> dict[str, Any]:
    return {
        "Sid": name,
        "Effect": "Deny",
        "Principal": "*",
        "Action": [f"ecr:{action}" for action in actions],
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": but_to}},
    }


class EcrWriter(_Registry):
    """Amazon ECR, with the agent's own identity in AWS, or the role `role_arn`."""

    kind: Literal["aws_ecr"]
    url: Annotated[str, Field(pattern=f"^{_ECR_URL.pattern}$")]
    role_arn: str | None = None
    immutable_tags: bool = True
    sole_writer: _Arn | None = Field(
        default=None, description="The agent's role. Each repository then denies writes to everybody else in the account."
    )
    readers: list[_Arn] = Field(
        default_factory=list,
        description="With `sole_writer`: the only other roles that may read, such as that of the nodes.",
    )

    @model_validator(mode="after")
    def _readers_beside_a_writer(self) -> Self:
        if self.readers and self.sole_writer is None:
            raise ValueError("readers go with sole_writer")
        return self

    def policy(self) -> dict[str, Any] | None:
        """The policy of a repository (`sole-writer`): what it denies, no policy of an identity allows."""
        if self.sole_writer is None:
            return None
        statements = [_denied("SoleWriter", _WRITES, [self.sole_writer])]
        if self.readers:
            statements.append(_denied("Readers", _READS, [self.sole_writer, *self.readers]))
        return {"Version": "2012-10-17", "Statement": statements}

    @property
    def region(self) -> str:
        """The region in the registry's name."""
        found = _ECR_URL.fullmatch(self.url)
        assert found
        return found[1]


class GarWriter(_Registry):
    """Google Artifact Registry, with the agent's own identity there. `prefix` is `PROJECT/REPOSITORY`, which exists."""

    kind: Literal["gcp_gar"]
    prefix: str = Field(pattern=r"^[a-z0-9.:-]+/[a-z0-9-]+(/.*)?$")


Writer = Annotated[RegistryWriter | EcrWriter | GarWriter, Field(discriminator="kind")]
_WRITER: TypeAdapter[RegistryWriter | EcrWriter | GarWriter] = TypeAdapter(Writer)


def read_writer(path: Path) -> RegistryWriter | EcrWriter | GarWriter:
    """The file of `--registry-credentials`. Raises OSError or ValueError."""
    document = _ANY.validate_json(path.read_bytes())
    return _WRITER.validate_python({"kind": "login", **document})


_ANY: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])


class Cloud(Protocol):
    """What a cloud's registry needs that isn't in the OCI specification. Its methods block."""

    def credential(self) -> tuple[Credential, datetime]:
        """A name and a password, and when they end."""
        ...

    def make_repository(self, name: str) -> None:
        """Make a repository, unless it is there."""
        ...


def ecr_client(writer: EcrWriter) -> Any:
    """boto3's ECR client, as the agent or as `role_arn`. Raises CloudRegistryError without boto3."""
    try:
        import boto3
    except ImportError:
        raise CloudRegistryError(
            "this agent has no boto3, which Amazon ECR needs", remedy="Install it: pip install 'exclave[aws]'."
        ) from None
    if writer.role_arn is None:
        return boto3.client("ecr", region_name=writer.region)
    sts = boto3.client("sts", region_name=writer.region)
    given = sts.assume_role(RoleArn=writer.role_arn, RoleSessionName="exclave-install")["Credentials"]
    return boto3.client(
        "ecr",
        region_name=writer.region,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


@dataclass(frozen=True)
class Ecr:
    """Amazon ECR (https://docs.aws.amazon.com/AmazonECR/latest/APIReference). A registry without repositories made on push."""

    writer: EcrWriter
    client: Callable[[EcrWriter], Any] = ecr_client

    def credential(self) -> tuple[Credential, datetime]:
        """GetAuthorizationToken: for twelve hours, with the rights of who asks."""
        given = self._call(lambda ecr: ecr.get_authorization_token())["authorizationData"][0]
        username, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
        return Credential(username, password), given["expiresAt"]

    def make_repository(self, name: str) -> None:
        """CreateRepository; that it exists is as good. With immutable tags, but for those of signatures and referrers.

        With a sole writer, its policy is set in any case: an agent may have been killed between the two.
        """
        wanted: dict[str, Any] = {"repositoryName": name, "tags": [{"Key": "managed-by", "Value": "exclave"}]}
        if self.writer.immutable_tags:
            wanted |= {
                "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": FOLLOW_UP_TAGS}],
            }

        def make(ecr: Any) -> Any:
            with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
                ecr.create_repository(**wanted)
            if (policy := self.writer.policy()) is not None:
                ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(policy))

        self._call(make)

    def _call(self, ask: Callable[[Any], Any]) -> Any:
        try:
            return ask(self.client(self.writer))
        except CloudRegistryError:
            raise
        except Exception as error:  # botocore makes its classes at run time; their texts have no secrets
            raise CloudRegistryError(f"Amazon ECR {self.writer.url}: {error}") from None


def google_token() -> str:
    """An access token of the agent's own identity. Raises CloudRegistryError without google-auth."""
    try:
        import google.auth
        from google.auth.transport.requests import Request
    except ImportError:
        raise CloudRegistryError(
            "this agent has no google-auth, which Google Artifact Registry needs",
            remedy="Install it: pip install 'exclave[gcp]'.",
        ) from None
    credentials, _ = google.auth.default(scopes=[_GOOGLE_SCOPE])
    credentials.refresh(Request())  # type: ignore[no-untyped-call]
    return str(credentials.token)


@dataclass(frozen=True)
class Gar:
    """Google Artifact Registry. A path below the repository needs no making."""

    writer: GarWriter
    token: Callable[[], str] = google_token
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def credential(self) -> tuple[Credential, datetime]:
        """An access token, which Google gives for an hour."""
        try:
            return Credential("oauth2accesstoken", self.token()), self.now() + _GOOGLE_HOUR
        except CloudRegistryError:
            raise
        except Exception as error:  # google-auth, requests and urllib3 have a family of errors each; none has a secret
            raise CloudRegistryError(f"Google Artifact Registry {self.writer.url}: {error}") from None

    def make_repository(self, name: str) -> None:
        """Nothing to do."""


def cloud_of(writer: RegistryWriter | EcrWriter | GarWriter) -> Cloud | None:
    """The cloud behind a registry, if there is one."""
    match writer:
        case EcrWriter():
            return Ecr(writer)
        case GarWriter():
            return Gar(writer)
        case RegistryWriter():
            return None


@dataclass
class CustomerRegistry:
    """The registry of which this agent is the only writer (`sole-writer`). A cloud's credential is kept until it ends."""

    writer: RegistryWriter | EcrWriter | GarWriter
    http: httpx.AsyncClient
    cloud: Cloud | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _held: tuple[Credential, datetime] | None = field(default=None, init=False, repr=False)
    _made: set[str] = field(default_factory=set, init=False, repr=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)

    def repository(self, name: str) -> str:
        """Where a repository of the vendor's is here."""
        return self.writer.repository(name)

    async def client(self, retry: RetryPolicy = DEFAULT_RETRY) -> RegistryClient:
        """A client for one job. Raises CloudRegistryError."""
        renew = self._another if self.cloud else None
        return RegistryClient(self.writer.url, await self._credential(), self.http, retry=retry, renew=renew)

    async def make_ready(self, name: str) -> None:
        """See to it that `repository(name)` can be pushed to. Raises CloudRegistryError."""
        repository = self.repository(name)
        if self.cloud is not None and repository not in self._made:
            await asyncio.to_thread(self.cloud.make_repository, repository)
            self._made.add(repository)

    async def _another(self) -> Credential:
        """A new login, whatever was said of how long the one before holds: the session behind it may have ended earlier."""
        assert self.cloud
        async with self._lock:
            self._held = await asyncio.to_thread(self.cloud.credential)
            return self._held[0]

    async def _credential(self) -> Credential:
        if isinstance(self.writer, RegistryWriter):
            return Credential(self.writer.username, self.writer.password)
        assert self.cloud
        async with self._lock:
            if self._held is None or self._held[1] - _EARLY < self.now():
                self._held = await asyncio.to_thread(self.cloud.credential)
            return self._held[0]
