"""Who the agent is in its cloud, where one is configured: AWS by STS, Google by an access token."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from agent.doctor.check import Finding, failed, passed, skipped
from agent.install.registries import CloudRegistryError, EcrWriter, GarWriter, RegistryWriter, google_token

_AWS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_GOOGLE = ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST")
_SECONDS = 5

Writer = RegistryWriter | EcrWriter | GarWriter | None


async def aws(env: Mapping[str, str], writer: Writer) -> AsyncIterator[Finding]:
    """STS says who this is (GetCallerIdentity, which needs no permission)."""
    if not isinstance(writer, EcrWriter) and not any(env.get(name) for name in _AWS):
        yield skipped("cloud.aws", "nothing of AWS is configured")
        return
    region = writer.region if isinstance(writer, EcrWriter) else env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    try:
        arn = await asyncio.to_thread(_caller, region)
    except ImportError:
        yield failed("cloud.aws", "this agent has no boto3", "Install it: pip install 'exclave[aws]'.")
    except Exception as error:  # botocore makes its classes at run time; their texts have no secrets
        remedy = "Give the agent a role or a key of AWS, and check the region, the proxy and the clock."
        yield failed("cloud.aws", str(error), remedy)
    else:
        yield passed("cloud.aws", arn)


def _caller(region: str | None) -> str:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 1})
    client = boto3.client("sts", region_name=region or "us-east-1", config=config)
    return str(client.get_caller_identity()["Arn"])


async def google(env: Mapping[str, str], writer: Writer) -> AsyncIterator[Finding]:
    """Google gives an access token for the application's default credentials."""
    if not isinstance(writer, GarWriter) and not any(env.get(name) for name in _GOOGLE):
        yield skipped("cloud.google", "nothing of Google Cloud is configured")
        return
    remedy = "Give the agent a service account (GOOGLE_APPLICATION_CREDENTIALS, or that of its machine), and check the proxy."
    try:
        await asyncio.to_thread(google_token)
    except CloudRegistryError as error:
        yield failed("cloud.google", str(error), error.failure.remedy)
    except Exception as error:  # google-auth, requests and urllib3 have a family of errors each; none has a secret
        yield failed("cloud.google", str(error), remedy)
    else:
        yield passed("cloud.google", "Google gives an access token")
