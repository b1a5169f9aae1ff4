"""Logins for Amazon ECR as the vendor's registry: a session of a role, narrowed to one repository by a policy of its own.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (`Policy`) and
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html: the password has the rights of the
session that asked for it, no more. Neither the role's nor the session's keys leave the IMS, only that password.
"""

import base64
import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from api.contract.agents import RegistryLogin
from api.registry.access import Access
from api.registry.errors import VendorRegistryError
from api.settings import ECR_URL

LOGIN_SECONDS = 3600
"""The most that AWS allows where one role assumes another; one transfer may need it."""

_PULL = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer", "ListImageReferrers")
_PUSH = ("CompleteLayerUpload", "CreateRepository", "InitiateLayerUpload", "PutImage", "TagResource", "UploadLayerPart")


def _boto3_session() -> Any:
    import boto3

    return boto3.session.Session()


@dataclass(frozen=True)
class EcrLogins:
    """The registry at `url`, whose images `role_arn` may pull and push. boto3 finds the IMS's own credentials as always."""

    url: str
    role_arn: str
    session: Callable[[], Any] = _boto3_session

    def login(self, subject: str, access: Access) -> RegistryLogin:
        """A login for this access and nothing else, in the name of `subject` (CloudTrail has it). Blocks.

        To push, the repository is made if need be. Raises VendorRegistryError.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            session, region = self.session(), self._region
            given = session.client("sts", region_name=region).assume_role(
                RoleArn=self.role_arn,
                RoleSessionName=f"exclave-{subject}"[:64],
                DurationSeconds=LOGIN_SECONDS,
                Policy=json.dumps(self.policy(access), separators=(",", ":")),
            )["Credentials"]
            ecr = session.client(
                "ecr",
                region_name=region,
                aws_access_key_id=given["AccessKeyId"],
                aws_secret_access_key=given["SecretAccessKey"],
                aws_session_token=given["SessionToken"],
            )
            if "push" in access.actions:
                _make(ecr, access.repository)
            answer = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        except (BotoCoreError, ClientError) as error:  # their texts have no secrets
            raise VendorRegistryError(f"Amazon ECR gives no login for {access.repository}: {error}") from None
        username, _, password = base64.b64decode(answer).decode().partition(":")
        return RegistryLogin(username=username, password=password, expires_in=LOGIN_SECONDS)

    def policy(self, access: Access) -> dict[str, Any]:
        """The session's policy: what the role may do besides, the session may not."""
        actions = [*_PULL, *(_PUSH if "push" in access.actions else ())]
        resource = f"arn:{self._partition}:ecr:{self._region}:{self._account}:repository/{access.repository}"
        return {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
                {"Effect": "Allow", "Action": [f"ecr:{action}" for action in actions], "Resource": resource},
            ],
        }

    @property
    def _account(self) -> str:
        return self._parts[1]

    @property
    def _region(self) -> str:
        return self._parts[2]

    @property
    def _partition(self) -> str:
        return "aws-cn" if self._region.startswith("cn-") else "aws-us-gov" if self._region.startswith("us-gov-") else "aws"

    @property
    def _parts(self) -> re.Match[str]:
        found = ECR_URL.fullmatch(self.url)
        assert found  # the settings have looked
        return found


def _make(ecr: Any, repository: str) -> None:
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=repository, tags=[{"Key": "managed-by", "Value": "exclave"}])
