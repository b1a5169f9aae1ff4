"""Logins for Google Artifact Registry as the vendor's registry: an access token of a service account that has one repository.

Google narrows no token for Artifact Registry: Credential Access Boundaries are for Cloud Storage alone
(https://cloud.google.com/iam/docs/downscoping-short-lived-credentials), and what may be granted is granted on a repository,
never on an image in it. So each app is a repository, with a reader of its own, and a component an image in it. The IMS
impersonates the reader (https://cloud.google.com/iam/docs/reference/credentials/rest, generateAccessToken); its own token
never leaves it.
"""

import re
from dataclasses import dataclass
from typing import Any

from api.contract.agents import RegistryLogin
from api.registry.access import Access
from api.registry.errors import VendorRegistryError

LOGIN_SECONDS = 3600
"""The most that Google allows without an exception; one transfer may need it."""

USERNAME = "oauth2accesstoken"
IAM_CREDENTIALS = "https://iamcredentials.googleapis.com"

_OWN_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SCOPES = {"pull": "https://www.googleapis.com/auth/devstorage.read_only", "push": _OWN_SCOPE}
"""With the first, Artifact Registry lets nobody upload, whatever roles they have."""

_REPOSITORY = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class GarLogins:
    """The service accounts that read and write an app's repository; `{app}` in an address stands for the app's name.

    google-auth finds the IMS's own credentials as always; they need the role Service Account Token Creator on both.
    """

    reader: str
    writer: str

    def login(self, subject: str, access: Access) -> RegistryLogin:
        """A login that reads, or reads and writes, the repository of the app. Blocks. Raises VendorRegistryError."""
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        app = access.repository.partition("/")[0]
        if not _REPOSITORY.fullmatch(app):
            raise VendorRegistryError(
                f"Google Artifact Registry has no repository {app!r}: names there have lower-case letters, digits and dashes"
            )
        action = "push" if "push" in access.actions else "pull"
        account = (self.writer if action == "push" else self.reader).replace("{app}", app)
        try:
            own, _ = google.auth.default(scopes=[_OWN_SCOPE])
            token = _impersonated(own, account, _SCOPES[action])
            token.refresh(Request())
        except GoogleAuthError as error:  # its texts have no secrets
            raise VendorRegistryError(f"Google gives the IMS no token of {account}: {error}") from None
        return RegistryLogin(username=USERNAME, password=token.token, expires_in=LOGIN_SECONDS)


def _impersonated(own: Any, account: str, scope: str) -> Any:
    from google.auth import impersonated_credentials

    return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        own,
        account,
        [scope],
        lifetime=LOGIN_SECONDS,
        iam_endpoint_override=f"{IAM_CREDENTIALS}/v1/projects/-/serviceAccounts/{account}:generateAccessToken",
    )
