"""`ref+gcpsm://project/secret/version`: Google Secret Manager, with the agent's own credentials.

https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access, which google-auth signs.
"""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from agent.secrets.reference import SecretReference, UnresolvedError

_URL = "https://secretmanager.googleapis.com"
_SECONDS = 30


def make_session() -> Any:
    """An HTTP session with application default credentials. Raises UnresolvedError without google-auth."""
    try:
        import google.auth
        from google.auth.transport.requests import AuthorizedSession
    except ImportError:
        raise UnresolvedError(
            "this agent has no google-auth", "Install it beside the agent: pip install 'exclave[gcp]'."
        ) from None
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]


def from_secret_manager(reference: SecretReference, session: Callable[[], Any] = make_session, url: str = _URL) -> str:
    """The payload of a secret's version (the newest, if none is named) as text. Blocks. Raises UnresolvedError."""
    reference.option()
    parts = reference.name.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UnresolvedError("it doesn't name a project and a secret", "Write ref+gcpsm://project/secret or …/version.")
    project, secret, version = (*parts, "latest")[:3]
    path = f"projects/{quote(project)}/secrets/{quote(secret)}/versions/{quote(version)}:access"
    try:
        with session() as http:
            answer = http.get(f"{url}/v1/{path}", timeout=_SECONDS)
            status, document = answer.status_code, answer.json()
    except UnresolvedError:
        raise
    except Exception as error:  # requests, urllib3 and google-auth have several families of errors; none has a value in it
        raise _refused(str(error)) from None
    if status != 200:
        raise _refused(str(document.get("error", {}).get("message") or f"HTTP status {status}"))
    try:
        return base64.b64decode(document["payload"]["data"]).decode()
    except UnicodeDecodeError:
        raise UnresolvedError("the secret is binary", "Store it as text, for example in base64.") from None


def _refused(why: str) -> UnresolvedError:
    return UnresolvedError(
        f"Google Secret Manager: {why}",
        "Check the names, and that the agent's account has the role roles/secretmanager.secretAccessor on the secret.",
    )
