"""Amazon ECR: assume the role that the image's owner made for the build agent, and get a password from ECR with it.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, …/API_AssumeRoleWithWebIdentity.html and
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html. A build agent in Google Cloud has no
AWS credentials: it shows its Google identity token instead, if the role trusts its service account (see `modules/ecr-access`).
"""

import base64
from typing import Any

from agent.build.container_image.cloud import CloudAccessError, ExtraMissingError
from agent.oci.token import Credential
from api.contract.image_sources import EcrImage

_SESSION = "exclave-build"
_SECONDS = 900
_AUDIENCE = "sts.amazonaws.com"
"""The default of `gcp_token_audience` of the module."""

_ROLE = "config.aws_ecr.iam_role_arn"


def ecr_credential(image: EcrImage) -> Credential:
    """A user name and a password that pull what the role may pull. Blocks. Raises CloudAccessError, ExtraMissingError."""
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise ExtraMissingError(
            "this build agent has no boto3",
            remedy="Install it beside the agent: pip install 'exclave[aws]'.",
            field="config.aws_ecr",
        ) from None
    session = boto3.session.Session(region_name=image.region)
    try:
        role = _assumed(session, image)
    except (BotoCoreError, ClientError) as error:
        raise CloudAccessError(
            f"AWS doesn't let the build agent assume {image.iam_role_arn}: {error}",
            remedy="Name the build agent's own role in `vendor_role_arns` of the module ecr-access, and give the same "
            "`external_id` here and there.",
            field=_ROLE,
        ) from None
    client = session.client(
        "ecr",
        aws_access_key_id=role["AccessKeyId"],
        aws_secret_access_key=role["SecretAccessKey"],
        aws_session_token=role["SessionToken"],
    )
    try:
        answer = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    except (BotoCoreError, ClientError) as error:
        raise CloudAccessError(
            f"ECR in {image.region} gives {image.iam_role_arn} no password: {error}",
            remedy="Allow the role ecr:GetAuthorizationToken on `*`, and check `region`.",
            field=_ROLE,
        ) from None
    username, _, password = base64.b64decode(answer).decode().partition(":")
    return Credential(username, password)


def _assumed(session: Any, image: EcrImage) -> dict[str, str]:
    request: dict[str, Any] = {"RoleArn": image.iam_role_arn, "RoleSessionName": _SESSION, "DurationSeconds": _SECONDS}
    if session.get_credentials() is None:
        if (token := _google_identity()) is not None:
            return dict(_unsigned_sts(session).assume_role_with_web_identity(**request, WebIdentityToken=token)["Credentials"])
        raise CloudAccessError(
            "the build agent has neither AWS credentials nor a Google identity",
            remedy="Run it in AWS with a role of its own, or in Google Cloud with a service account.",
            field=_ROLE,
        )
    if image.external_id is not None:
        request["ExternalId"] = image.external_id
    return dict(session.client("sts").assume_role(**request)["Credentials"])


def _unsigned_sts(session: Any) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    return session.client("sts", config=Config(signature_version=UNSIGNED))


def _google_identity() -> str | None:
    """An identity token of the agent's service account; None outside Google Cloud."""
    try:
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
        from google.oauth2 import id_token
    except ImportError:
        return None
    try:
        return str(id_token.fetch_id_token(Request(), _AUDIENCE))  # type: ignore[no-untyped-call]
    except GoogleAuthError:
        return None
