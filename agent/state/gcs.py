"""State in a Google Cloud Storage bucket, over its JSON API, which google-auth signs (the extra `gcp`).

https://cloud.google.com/storage/docs/json_api/v1/objects and https://cloud.google.com/storage/docs/request-preconditions.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from agent.state.store import Found, MovedOnError, StateUnreachableError

_URL = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_TIMEOUTS = (10, 30)


def connect(place: str, bucket: str, prefix: str, *, endpoint: str | None = None) -> "GcsStore":
    """The store in a bucket, with application default credentials. Raises StateUnreachableError without google-auth."""
    try:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import AuthorizedSession
    except ImportError:
        raise StateUnreachableError(
            "state in Google Cloud Storage needs google-auth", remedy="Install it: pip install 'exclave[gcp]'."
        ) from None
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
    except GoogleAuthError as error:
        raise StateUnreachableError(f"state in {place} can't be used: {error}") from None
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    return GcsStore(session, bucket, prefix, place, url=endpoint or _URL)


@dataclass(frozen=True)
class GcsStore:
    """See `Store`. A tag is the object's generation. `session` is one of requests."""

    session: Any
    bucket: str
    prefix: str
    place: str
    url: str = _URL
    remote: bool = True

    def read(self, name: str) -> Found | None:
        """See `Store`."""
        answer = self._ask("GET", self._object(name), {"alt": "media"})
        if answer.status_code == 404:
            return None
        self._check(answer)
        return Found(answer.content, answer.headers["x-goog-generation"])

    def write(self, name: str, data: bytes, tag: str | None) -> str:
        """See `Store`."""
        query = {"uploadType": "media", "name": self.prefix + name, "ifGenerationMatch": tag or "0"}
        answer = self._ask("POST", f"/upload/storage/v1/b/{self.bucket}/o", query, data)
        if answer.status_code == 412:
            raise MovedOnError(name)
        self._check(answer)
        return str(answer.json()["generation"])

    def delete(self, name: str) -> None:
        """See `Store`."""
        answer = self._ask("DELETE", self._object(name), {})
        if answer.status_code != 404:
            self._check(answer)

    def names(self, prefix: str) -> list[str]:
        """See `Store`."""
        query = {"prefix": self.prefix + prefix, "fields": "items(name),nextPageToken"}
        found: list[str] = []
        while True:
            answer = self._ask("GET", f"/storage/v1/b/{self.bucket}/o", query)
            self._check(answer)
            page = answer.json()
            found += [str(item["name"]).removeprefix(self.prefix) for item in page.get("items", [])]
            if not page.get("nextPageToken"):
                return sorted(found)
            query["pageToken"] = page["nextPageToken"]

    def _object(self, name: str) -> str:
        return f"/storage/v1/b/{self.bucket}/o/{quote(self.prefix + name, safe='')}"

    def _ask(self, method: str, path: str, query: dict[str, str], data: bytes | None = None) -> Any:
        headers = {"Content-Type": "application/octet-stream"} if data is not None else {}
        try:
            return self.session.request(method, self.url + path, params=query, data=data, headers=headers, timeout=_TIMEOUTS)
        except Exception as error:  # requests, urllib3 and google-auth have several families of errors
            raise StateUnreachableError(f"state in {self.place} can't be used: {error}") from None

    def _check(self, answer: Any) -> None:
        if answer.status_code >= 300:
            try:
                why = str(answer.json()["error"]["message"])
            except (ValueError, KeyError, TypeError):
                why = f"HTTP status {answer.status_code}"
            raise StateUnreachableError(f"state in {self.place} can't be used: {why}")
