"""Who may pull from Artifact Registry through the service account of `modules/gar-access`, and who may not.

Each row is one way to an image, with google-auth as it is, against the fake Google and an emulator of AWS that verifies
signatures.
"""

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import boto3
import google.auth.transport.requests
import httpx
from google.auth import aws, exceptions, impersonated_credentials
from google.oauth2 import credentials as oauth2

VENDOR, SANDBOX, LONG, STRANGER = "222222222222", "333333222222", "444444444444", "999999999999"
SESSION = "org-7f3c1a"
LONG_ROLE = "exclave-build-agent-with-a-name-as-long-as-a-role-s-name-can-be1"
AGENT = "build-agent@acme-platform.iam.gserviceaccount.com"

CONFIG = """
provider "google" {
  project                           = "acme-images"
  access_token                      = "admin"
  iam_custom_endpoint               = "GOOGLE/v1/"
  iam_beta_custom_endpoint          = "GOOGLE/v1/"
  artifact_registry_custom_endpoint = "GOOGLE/v1/"
}

module "gar_access" {
  source = "./gar-access"

  project_id          = "acme-images"
  repository_location = "europe-west1"
  repository_ids      = ["shop"]
  service_account_id  = "reader-NAME"

  customer_principals = ["serviceAccount:build-agent@acme-platform.iam.gserviceaccount.com"]

  aws_principals = [
    {
      aws_account_id = "222222222222"
      role_names     = ["build-agent", "support"]
      session_name   = "org-7f3c1a"
    },
    { aws_account_id = "333333222222", allow_any_role = true },
    { aws_account_id = "444444444444", role_names = ["LONG_ROLE"] },
  ]
  POOL = "pool-NAME"
}

output "service_account_email" { value = module.gar_access.service_account_email }
output "providers" { value = module.gar_access.workload_identity_provider_paths }
output "credential_config_json" { value = module.gar_access.credential_config_json }
""".replace("LONG_ROLE", LONG_ROLE)

ROLES = {
    VENDOR: ("build-agent", "support", "developer"),
    SANDBOX: ("anything",),
    LONG: (LONG_ROLE,),
    STRANGER: ("build-agent",),
}

APPLIED = "the module is applied"
"""The row that fails if Google refuses what the module makes."""

GOOD = "allowed"
_BOTO = boto3.Session()


@dataclass(frozen=True)
class Clouds:
    """Both clouds, by their addresses."""

    google: str
    aws: str

    def config(self, name: str, *, pool_input: str = "workload_identity_pool_id") -> str:
        """The configuration of the matrix, with names of its own."""
        return CONFIG.replace("GOOGLE", self.google).replace("NAME", name).replace("POOL", pool_input)

    def fill(self) -> None:
        """Make the roles that knock."""
        for account, roles in ROLES.items():
            iam = self.client("iam", account)
            statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}}
            trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            for role in roles:
                # The other matrix may have made one of that name, which will do as well.
                with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
                    iam.create_role(RoleName=role, Path="/agents/", AssumeRolePolicyDocument=trust)

    def client(self, service: str, account: str) -> Any:
        return _BOTO.client(
            service, "eu-west-1", endpoint_url=self.aws, aws_access_key_id=account, aws_secret_access_key="test"
        )

    def session(self, account: str, role: str, name: str) -> aws.AwsSecurityCredentials:
        """A session of a role."""
        found = next(each["Arn"] for each in self.client("iam", account).list_roles()["Roles"] if each["RoleName"] == role)
        answer = self.client("sts", account).assume_role(RoleArn=found, RoleSessionName=name)["Credentials"]
        return aws.AwsSecurityCredentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])


@dataclass(frozen=True)
class Supplier(aws.AwsSecurityCredentialsSupplier):  # type: ignore[misc] # google-auth ships no types
    """Credentials of AWS that are known already."""

    credentials: aws.AwsSecurityCredentials

    def get_aws_security_credentials(self, context: Any, request: Any) -> aws.AwsSecurityCredentials:
        return self.credentials

    def get_aws_region(self, context: Any, request: Any) -> str:
        return "eu-west-1"


class Caller:
    """Ways to an image. Each says `allowed`, or who refuses: `pool`, `impersonation`, `registry` or `aws`."""

    def __init__(self, clouds: Clouds, email: str, providers: Mapping[str, str], files: Mapping[str, str]) -> None:
        self._clouds, self._email, self._providers, self._files = clouds, email, providers, files

    def _impersonation(self, email: str | None = None) -> str:
        return f"{self._clouds.google}/v1/projects/-/serviceAccounts/{email or self._email}:generateAccessToken"

    def as_google(self, who: str = AGENT, repository: str = "shop", method: str = "GET") -> str:
        """As a service account on Google Cloud."""
        found = impersonated_credentials.Credentials(
            oauth2.Credentials(f"token-of {who}"),
            target_principal=self._email,
            target_scopes=["https://www.googleapis.com/auth/cloud-platform"],
            iam_endpoint_override=self._impersonation(),
        )
        return self._pull(found, repository, method)

    def as_aws(
        self,
        account: str,
        role: str,
        name: str = SESSION,
        *,
        through: str | None = None,
        credentials: aws.AwsSecurityCredentials | None = None,
        impersonated: bool = True,
        email: str | None = None,
        spoil: Callable[[str], str] | None = None,
    ) -> str:
        """As a session of an AWS role, `through` the provider of some account. `spoil` changes the signed request."""
        found = aws.Credentials(
            audience=f"//iam.googleapis.com/{self._providers[through or account]}",
            subject_token_type="urn:ietf:params:aws:token-type:aws4_request",
            token_url=f"{self._clouds.google}/v1/token",
            aws_security_credentials_supplier=Supplier(credentials or self._clouds.session(account, role, name)),
            service_account_impersonation_url=self._impersonation(email) if impersonated else None,
            scopes=["https://www.googleapis.com/auth/cloud-platform"],
        )
        if spoil is None:
            return self._pull(found)
        sign = aws.Credentials.retrieve_subject_token
        with mock.patch.object(aws.Credentials, "retrieve_subject_token", lambda self, request: spoil(sign(self, request))):
            return self._pull(found)

    def with_another_secret(self) -> str:
        """As a named role, by somebody who knows its access key and token alone."""
        keys = self._clouds.session(VENDOR, "build-agent", SESSION)
        return self.as_aws(VENDOR, "", credentials=dataclasses.replace(keys, secret_access_key="guessed"))

    def by_file(self) -> str:
        """With the module's configuration file, whose addresses are led to the fake, and AWS's usual variables."""
        text = self._files[VENDOR].replace("https://sts.googleapis.com", self._clouds.google)
        text = text.replace("https://iamcredentials.googleapis.com", self._clouds.google)
        keys = self._clouds.session(VENDOR, "build-agent", SESSION)
        variables = {
            "AWS_ACCESS_KEY_ID": keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
            "AWS_SESSION_TOKEN": keys.session_token,
            "AWS_REGION": "eu-west-1",
        }
        with mock.patch.dict("os.environ", variables):
            scopes = ["https://www.googleapis.com/auth/cloud-platform"]
            return self._pull(aws.Credentials.from_info(json.loads(text), scopes=scopes))

    def _pull(self, credentials: Any, repository: str = "shop", method: str = "GET") -> str:
        try:
            credentials.refresh(google.auth.transport.requests.Request())
        except exceptions.OAuthError as error:
            return "aws" if "AWS refuses" in str(error) else "pool"
        except exceptions.RefreshError:
            return "impersonation"
        url = f"{self._clouds.google}/v2/acme-images/{repository}/web/manifests/1"
        answer = httpx.request(method, url, auth=("oauth2accesstoken", credentials.token))
        assert answer.status_code in (200, 403), answer.text
        return GOOD if answer.status_code == 200 else "registry"


def _for_another_audience(token: str) -> str:
    changed = token.replace("providers/aws-222222222222", "providers/aws-333333222222")
    assert changed != token
    return changed


def _with_another_signature(token: str) -> str:
    changed = re.sub(r"Signature%3D.", lambda found: found[0][:-1] + ("1" if found[0][-1] == "0" else "0"), token)
    assert changed != token
    return changed


ROWS: dict[str, tuple[Callable[[Caller], str], str]] = {
    # On Google Cloud
    "the build agent's service account": (lambda call: call.as_google(), GOOD),
    "another service account": (lambda call: call.as_google("stranger@acme-platform.iam.gserviceaccount.com"), "impersonation"),
    "an image of another repository": (lambda call: call.as_google(repository="ledger"), "registry"),
    "pushing an image": (lambda call: call.as_google(method="PUT"), "registry"),
    # On AWS
    "a named role in this customer's session": (lambda call: call.as_aws(VENDOR, "build-agent"), GOOD),
    "the other named role": (lambda call: call.as_aws(VENDOR, "support"), GOOD),
    "a named role in another customer's session": (lambda call: call.as_aws(VENDOR, "build-agent", "org-other"), "pool"),
    "another role of the account": (lambda call: call.as_aws(VENDOR, "developer"), "pool"),
    "the root of the account": (
        lambda call: call.as_aws(VENDOR, "", credentials=aws.AwsSecurityCredentials(VENDOR, "test", None)),
        "pool",
    ),
    "a role of the same name in a stranger's account": (
        lambda call: call.as_aws(STRANGER, "build-agent", through=VENDOR),
        "pool",
    ),
    "a named role through another account's provider": (
        lambda call: call.as_aws(VENDOR, "build-agent", through=SANDBOX),
        "pool",
    ),
    "any role of an account that is open": (lambda call: call.as_aws(SANDBOX, "anything", "whatever"), GOOD),
    "a session whose ARN is too long for a subject": (lambda call: call.as_aws(LONG, LONG_ROLE, "s" * 64), GOOD),
    "the configuration file": (lambda call: call.by_file(), GOOD),
    # Tampering
    "a secret that isn't the key's": (lambda call: call.with_another_secret(), "aws"),
    "a signature that is changed": (lambda call: call.as_aws(VENDOR, "build-agent", spoil=_with_another_signature), "aws"),
    "a request for another provider": (lambda call: call.as_aws(VENDOR, "build-agent", spoil=_for_another_audience), "pool"),
    # What the pool alone gives
    "pulling without the service account": (lambda call: call.as_aws(VENDOR, "build-agent", impersonated=False), "registry"),
    "acting as another service account": (
        lambda call: call.as_aws(VENDOR, "build-agent", email="bystander@acme-images.iam.gserviceaccount.com"),
        "impersonation",
    ),
}


def wrong_rows(clouds: Clouds, outputs: Mapping[str, Any]) -> dict[str, str]:
    """The rows that end in another way than they should, and how. `outputs` are those of the configuration."""
    value = {name: each["value"] for name, each in outputs.items()}
    call = Caller(clouds, value["service_account_email"], value["providers"], value["credential_config_json"])
    said = {name: row(call) for name, (row, _) in ROWS.items()}
    return {name: what for name, what in said.items() if what != ROWS[name][1]}
