"""Google Artifact Registry: an access token of the service account that the image's owner made for the build agent.

In Google Cloud the agent impersonates it (https://cloud.google.com/iam/docs/reference/credentials/rest, generateAccessToken);
in AWS it exchanges a signed GetCallerIdentity for a federated token first (https://google.aip.dev/auth/4117).
"""

from dataclasses import dataclass
from typing import Any

from agent.build.container_image.cloud import CloudAccessError, ExtraMissingError
from agent.oci.token import Credential
from api.contract.image_sources import GarImage

_USERNAME = "oauth2accesstoken"
_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
_AWS_SUBJECT = "urn:ietf:params:aws:token-type:aws4_request"


@dataclass(frozen=True)
class GoogleEndpoints:
    """Where Google's services are."""

    sts: str = "https://sts.googleapis.com/v1/token"
    iam_credentials: str = "https://iamcredentials.googleapis.com"

    def generate_access_token(self, email: str) -> str:
        """The method of a service account that gives a token in its name."""
        return f"{self.iam_credentials}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"


GOOGLE = GoogleEndpoints()


def gar_credential(image: GarImage) -> Credential:
    """An access token as a password, good for at most an hour. Blocks. Raises CloudAccessError, ExtraMissingError."""
    try:
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
    except ImportError:
        raise ExtraMissingError(
            "this build agent has no google-auth",
            remedy="Install it beside the agent: pip install 'exclave[gcp]'.",
            field="config.gcp_gar",
        ) from None
    aws = _aws_session() if image.workload_identity_provider else None
    try:
        credentials = _federated(image, aws) if aws else _impersonated(image)
        credentials.refresh(Request())
    except GoogleAuthError as error:
        raise CloudAccessError(
            f"Google gives the build agent no token for {image.service_account_email or 'its own identity'}: {error}",
            remedy="Name the build agent's identity in `customer_principals` or `aws_principals` of the module gar-access.",
            field="config.gcp_gar.workload_identity_provider" if aws else "config.gcp_gar.service_account_email",
        ) from None
    return Credential(_USERNAME, credentials.token)


def _impersonated(image: GarImage) -> Any:
    import google.auth
    from google.auth import impersonated_credentials

    own, _ = google.auth.default(scopes=_SCOPES)
    if image.service_account_email is None:
        return own
    return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        own,
        image.service_account_email,
        _SCOPES,
        iam_endpoint_override=GOOGLE.generate_access_token(image.service_account_email),
    )


def _federated(image: GarImage, session: Any) -> Any:
    from google.auth import aws

    class Supplier(aws.AwsSecurityCredentialsSupplier):
        """boto3 knows every place where an agent's AWS credentials can be: EC2, ECS, EKS, a profile."""

        def get_aws_security_credentials(self, context: Any, request: Any) -> Any:
            """Asked for before each exchange."""
            held = session.get_credentials().get_frozen_credentials()
            return aws.AwsSecurityCredentials(held.access_key, held.secret_key, held.token)

        def get_aws_region(self, context: Any, request: Any) -> str:
            """The region whose STS Google asks who we are."""
            return str(session.region_name or "us-east-1")

    email = image.service_account_email
    return aws.Credentials(  # type: ignore[no-untyped-call]
        audience=f"//iam.googleapis.com/{image.workload_identity_provider}",
        subject_token_type=_AWS_SUBJECT,
        token_url=GOOGLE.sts,
        aws_security_credentials_supplier=Supplier(),
        service_account_impersonation_url=GOOGLE.generate_access_token(email) if email else None,
        scopes=_SCOPES,
    )


def _aws_session() -> Any:
    """The agent's AWS session; None where it has no AWS credentials, as in Google Cloud."""
    try:
        import boto3
    except ImportError:
        return None
    session = boto3.session.Session()
    return session if session.get_credentials() is not None else None
