"""`ref+awssm://name-or-arn?region=…#key`: AWS Secrets Manager, with the agent's own credentials.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from collections.abc import Callable
from typing import Any

from agent.secrets.reference import SecretReference, UnresolvedError


def make_client(region: str | None) -> Any:
    """A Secrets Manager client. Raises UnresolvedError without boto3."""
    try:
        import boto3
    except ImportError:
        raise UnresolvedError("this agent has no boto3", "Install it beside the agent: pip install 'exclave[aws]'.") from None
    return boto3.client("secretsmanager", region_name=region)


def from_secrets_manager(reference: SecretReference, client: Callable[[str | None], Any] = make_client) -> str:
    """The secret's text (`SecretString`). Blocks. Raises UnresolvedError."""
    region = reference.option("region").get("region")
    if region is None and reference.name.startswith("arn:"):
        region = reference.name.split(":")[3]
    try:
        answer = client(region).get_secret_value(SecretId=reference.name)
    except UnresolvedError:
        raise
    except Exception as error:  # botocore makes its classes at run time; their texts say what is wrong, never a value
        raise UnresolvedError(
            f"AWS Secrets Manager: {error}",
            "Check the name, the region, and that the agent's role allows secretsmanager:GetSecretValue on it.",
        ) from None
    text = answer.get("SecretString")
    if text is None:
        raise UnresolvedError("the secret is binary", "Store it as text, for example in base64.")
    return str(text)
