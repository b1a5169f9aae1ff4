"""Who may pull from ECR through the role of `modules/ecr-access`, who may not, and what AWS says to them.

Each row is one call against an emulator that enforces IAM. The accounts: 1… has the repositories, 2… is the vendor's, 9… is a
stranger's.
"""

import contextlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from emulators import GoogleKeys

OWNER, VENDOR, STRANGER = "111111111111", "222222222222", "999999999999"
EXTERNAL_ID = "org-7f3c1a"
AUDIENCE = "exclave-org-7f3c1a"
AGENT = "104857600000000000001"
"""The unique id of the build agent's Google service account."""

CONFIG = """
provider "aws" {
  region     = "eu-west-1"
  access_key = "111111111111"
  secret_key = "test"
}

module "ecr_access" {
  source = "./ecr-access"

  repository_arns = [
    "arn:aws:ecr:eu-west-1:111111111111:repository/shop/*",
    "arn:aws:ecr:eu-west-1:111111111111:repository/worker",
  ]
  pull_through_cache_arns = ["arn:aws:ecr:eu-west-1:111111111111:repository/docker-hub/*"]

  vendor_role_arns = [
    "arn:aws:iam::222222222222:role/agents/nested",
    "arn:aws:iam::222222222222:role/agents/moved",
    "arn:aws:iam::222222222222:role/build-agent",
  ]
  external_id = "org-7f3c1a"

  gcp_principals     = [{ service_account_unique_id = "104857600000000000001" }]
  gcp_token_audience = "exclave-org-7f3c1a"

  role_name            = "ROLE"
  max_session_duration = 7200
  tags                 = { team = "platform" }
}

output "role_arn" { value = module.ecr_access.role_arn }
"""

REPOSITORIES = {"eu-west-1": ("shop/web", "worker", "worker2", "ledger"), "us-east-1": ("worker",)}
ROLES = {VENDOR: ("/build-agent", "/agents/nested", "/moved", "/support"), STRANGER: ("/build-agent",), OWNER: ("/developer",)}
"""The roles that there are. `moved` is trusted under another path than its own."""

DENIED = "AccessDenied"
GOOD = "allowed"
MISSING = (
    "ImageNotFoundException",
    "LayersNotFoundException",
    "LayerInaccessibleException",
    "LifecyclePolicyNotFoundException",
)
"""What ECR says to those who may ask, about what isn't there."""

_BOTO = boto3.Session()
"""One for all: what it has read of AWS's API serves every client."""

_names = itertools.count()


@dataclass(frozen=True)
class Aws:
    """The emulator, by its address."""

    endpoint: str

    def client(self, service: str, keys: tuple[str, str, str | None], region: str = "eu-west-1") -> Any:
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        return _BOTO.client(
            service,
            region,
            endpoint_url=self.endpoint,
            config=Config(retries={"max_attempts": 1}),
            **dict(zip(names, keys, strict=True)),
        )

    def root(self, service: str, account: str, region: str = "eu-west-1") -> Any:
        return self.client(service, (account, "test", None), region)

    def fill(self) -> None:
        """Make the repositories, and the roles that knock."""
        for region, names in REPOSITORIES.items():
            for name in names:
                self.root("ecr", OWNER, region).create_repository(repositoryName=name)
        for account, roles in ROLES.items():
            iam = self.root("iam", account)
            for role in roles:
                path, name = role.rsplit("/", 1)
                trust = _policy("sts:AssumeRole", Principal={"AWS": f"arn:aws:iam::{account}:root"})
                # The other matrix may have made one of that name: this one's path counts.
                with contextlib.suppress(iam.exceptions.NoSuchEntityException):
                    iam.delete_role(RoleName=name)
                iam.create_role(RoleName=name, Path=f"{path}/", AssumeRolePolicyDocument=trust)
                iam.put_role_policy(RoleName=name, PolicyName="assume", PolicyDocument=_policy("sts:AssumeRole", Resource="*"))

    def session(self, role_arn: str, account: str = VENDOR) -> tuple[str, str, str]:
        """A session of one of the roles that knock."""
        answer = self.root("sts", account).assume_role(RoleArn=role_arn, RoleSessionName="session")
        return _keys(answer)


def _policy(action: str, **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]})


def _keys(answer: Any) -> tuple[str, str, str]:
    found = answer["Credentials"]
    return found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]


class Caller:
    """Calls of the matrix, for one role of the module's. Each gives what AWS says: `allowed`, or an error's code."""

    def __init__(self, aws: Aws, keys: GoogleKeys, role_arn: str) -> None:
        self._aws, self._google, self._role = aws, keys, role_arn
        self._pulling = cache(self._pulling_keys)

    def assume(self, role: str, account: str = VENDOR, external_id: str | None = EXTERNAL_ID, seconds: int = 3600) -> str:
        """As a role in some account assumes the module's."""
        sts = self._aws.client("sts", self._aws.session(f"arn:aws:iam::{account}:role{role}", account))
        given = {} if external_id is None else {"ExternalId": external_id}
        return _said(lambda: sts.assume_role(RoleArn=self._role, RoleSessionName="pull", DurationSeconds=seconds, **given))

    def assume_as_root(self, account: str) -> str:
        sts = self._aws.root("sts", account)
        return _said(lambda: sts.assume_role(RoleArn=self._role, RoleSessionName="pull", ExternalId=EXTERNAL_ID))

    def web_identity(self, sub: str = AGENT, aud: str = AUDIENCE, seconds: int = 3600, **claims: Any) -> str:
        """As a Google service account assumes it."""
        token = self._google.token(sub=sub, aud=aud, **claims)
        sts = self._aws.root("sts", STRANGER)  # the call isn't signed
        return _said(
            lambda: sts.assume_role_with_web_identity(
                RoleArn=self._role, RoleSessionName="pull", WebIdentityToken=token, DurationSeconds=seconds
            )
        )

    def ecr(self, method: str, repository: str = "", region: str = "eu-west-1", **arguments: Any) -> str:
        """As a session of the role uses ECR."""
        named = {"repositoryName": repository} if repository else {}
        return _said(lambda: getattr(self._aws.client("ecr", self._pulling(), region), method)(**named, **arguments))

    def iam(self) -> str:
        return _said(lambda: self._aws.client("iam", self._pulling()).list_roles())

    def onwards(self) -> str:
        role = f"arn:aws:iam::{OWNER}:role/developer"
        return _said(lambda: self._aws.client("sts", self._pulling()).assume_role(RoleArn=role, RoleSessionName="on"))

    def _pulling_keys(self) -> tuple[str, str, str]:
        token = self._google.token(sub=AGENT, aud=AUDIENCE)
        sts = self._aws.root("sts", STRANGER)
        return _keys(sts.assume_role_with_web_identity(RoleArn=self._role, RoleSessionName="pull", WebIdentityToken=token))


def _said(call: Callable[[], Any]) -> str:
    try:
        call()
    except ClientError as error:
        code: str = error.response["Error"]["Code"]
        if code in MISSING:
            return GOOD
        return DENIED if code == "AccessDeniedException" else code
    return GOOD


IMAGE: dict[str, Any] = {"imageIds": [{"imageTag": "1"}]}
LAYER = "sha256:" + "0" * 64

Row = tuple[Callable[[Caller], str], str]

ROWS: dict[str, Row] = {
    # Who may assume the role
    "the build agent's role with the external id": (lambda call: call.assume("/build-agent"), GOOD),
    "a trusted role that has a path": (lambda call: call.assume("/agents/nested"), GOOD),
    "without an external id": (lambda call: call.assume("/build-agent", external_id=None), DENIED),
    "with another customer's external id": (lambda call: call.assume("/build-agent", external_id="org-other"), DENIED),
    "another role of the vendor's account": (lambda call: call.assume("/support"), DENIED),
    "a role of the trusted name under another path": (lambda call: call.assume("/moved"), DENIED),
    "the root of the vendor's account": (lambda call: call.assume_as_root(VENDOR), DENIED),
    "a role of the same name in a stranger's account": (lambda call: call.assume("/build-agent", STRANGER), DENIED),
    "another role of the owner's account": (lambda call: call.assume("/developer", OWNER), DENIED),
    "a role for longer than an hour": (lambda call: call.assume("/build-agent", seconds=7200), "ValidationError"),
    # Who may with a Google token. To the last three, AWS says InvalidIdentityToken or ExpiredTokenException.
    "the build agent's service account": (lambda call: call.web_identity(), GOOD),
    "a service account for as long as is allowed": (lambda call: call.web_identity(seconds=7200), GOOD),
    "a service account for longer": (lambda call: call.web_identity(seconds=7201), "ValidationError"),
    "another service account": (lambda call: call.web_identity(sub="104857600000000000002"), DENIED),
    "a token for another audience": (lambda call: call.web_identity(aud="https://elsewhere.example"), DENIED),
    "a token without azp": (lambda call: call.web_identity(azp=None), DENIED),
    "a token that says its audience in azp": (lambda call: call.web_identity(aud="https://x.example", azp=AUDIENCE), DENIED),
    "a token that is over": (lambda call: call.web_identity(iat=1, exp=2), DENIED),
    "a token of another key": (lambda call: call.web_identity(signed_by="stranger"), DENIED),
    "a token of another issuer": (lambda call: call.web_identity(iss="https://idp.example"), DENIED),
    # What the role may do
    "log in to the registry": (lambda call: call.ecr("get_authorization_token"), GOOD),
    "pull a granted image": (lambda call: call.ecr("batch_get_image", "worker", **IMAGE), GOOD),
    "pull an image under a granted prefix": (lambda call: call.ecr("batch_get_image", "shop/web", **IMAGE), GOOD),
    "pull a layer": (lambda call: call.ecr("get_download_url_for_layer", "worker", layerDigest=LAYER), GOOD),
    "check layers": (lambda call: call.ecr("batch_check_layer_availability", "worker", layerDigests=[LAYER]), GOOD),
    "look at a granted image": (lambda call: call.ecr("describe_images", "worker", **IMAGE), GOOD),
    "create a repository of the cache": (lambda call: call.ecr("create_repository", f"docker-hub/image-{next(_names)}"), GOOD),
    # What it may not
    "pull another repository's image": (lambda call: call.ecr("batch_get_image", "ledger", **IMAGE), DENIED),
    "pull from a name that begins like a granted one": (lambda call: call.ecr("batch_get_image", "worker2", **IMAGE), DENIED),
    "pull in another region": (lambda call: call.ecr("batch_get_image", "worker", "us-east-1", **IMAGE), DENIED),
    "push an image": (lambda call: call.ecr("put_image", "worker", imageManifest="{}", imageTag="1"), DENIED),
    "upload a layer": (lambda call: call.ecr("initiate_layer_upload", "worker"), DENIED),
    "delete an image": (lambda call: call.ecr("batch_delete_image", "worker", **IMAGE), DENIED),
    "delete a repository": (lambda call: call.ecr("delete_repository", "worker", force=True), DENIED),
    "open a repository to others": (lambda call: call.ecr("set_repository_policy", "worker", policyText="{}"), DENIED),
    "list images": (lambda call: call.ecr("list_images", "worker"), DENIED),
    "create a repository outside the cache": (lambda call: call.ecr("create_repository", "shop/new"), DENIED),
    "look at roles": (lambda call: call.iam(), DENIED),
    "assume another role": (lambda call: call.onwards(), DENIED),
}


def wrong_rows(aws: Aws, keys: GoogleKeys, role_arn: str) -> dict[str, str]:
    """The rows in which AWS says something else than it should, and what it says."""
    call = Caller(aws, keys, role_arn)
    said = {name: row(call) for name, (row, _) in ROWS.items()}
    return {name: what for name, what in said.items() if what != ROWS[name][1]}
