"""A client of one OCI registry (distribution specification 1.1).

It moves bytes and answers challenges; what an artifact is made of is the business of its callers. Nothing is ever rewritten:
manifests go in and out as the bytes that they are, with the media type that came with them.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx

from agent.oci.answers import next_page, refusal
from agent.oci.digest import check_digest, digest_of, tag_of, verified
from agent.oci.errors import AccessRefusedError, BadAnswerError, NotFoundError, RegistryUnavailableError, TicketRefusedError
from agent.oci.manifest import ACCEPT, IMAGE_INDEX, IMAGE_MANIFEST, Descriptor, Manifest
from agent.oci.retry import RetryPolicy
from agent.oci.token import Authorizer, Credential, Scope
from agent.oci.transport import Answer, Transport

T = TypeVar("T")

Chunks = Callable[[], AsyncGenerator[bytes, None]]
"""Opens the content of a blob from its beginning; called again for each try."""

DEFAULT_RETRY = RetryPolicy()
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5


@dataclass(frozen=True)
class Referrers:
    """The manifests whose subject is a digest. `by_api` is False where the registry lacks the referrers API."""

    descriptors: tuple[Descriptor, ...]
    by_api: bool


class RegistryClient:
    """One registry, with one credential.

    Every method raises RegistryUnavailableError when there is no answer after all tries, TicketRefusedError when the token
    endpoint doesn't take the credential, AccessRefusedError, and BadAnswerError. The caller owns `http`.
    """

    def __init__(
        self,
        url: str,
        credential: Credential | None,
        http: httpx.AsyncClient,
        *,
        retry: RetryPolicy = DEFAULT_RETRY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = httpx.URL(url.rstrip("/") + "/")
        self._transport = Transport(http, retry)
        self._authorizer = Authorizer(self.url, credential, self._transport, clock)
        self._written: set[str] = set()

    def will_push(self, repository: str) -> None:
        """Say that `repository` will be written, so that its first token allows that and one token is enough."""
        self._written.add(repository)

    async def get_manifest(self, repository: str, reference: str) -> Manifest:
        """The manifest at a digest or tag; a digest is checked. Raises NotFoundError, DigestMismatchError."""
        found = await self.find_manifest(repository, reference)
        if found is None:
            raise NotFoundError(f"{self.url} has no manifest {repository}@{reference}")
        return found

    async def find_manifest(self, repository: str, reference: str) -> Manifest | None:
        """Like `get_manifest`, with None where there is none."""
        answer = await self._call("GET", repository, f"manifests/{reference}", headers={"Accept": ACCEPT})
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise refusal(answer, f"manifest {repository}@{reference}")
        digest = digest_of(answer.body)
        stated = reference if reference.startswith("sha256:") else answer.headers.get("docker-content-digest", digest)
        check_digest(answer.body, stated, f"manifest {repository}@{reference}")
        manifest = Manifest(answer.body, answer.headers.get("content-type", "").partition(";")[0].strip(), digest)
        if manifest.media_type:
            return manifest
        return Manifest(answer.body, manifest.body().media_type or IMAGE_MANIFEST, digest)

    async def manifest_digest(self, repository: str, reference: str) -> str | None:
        """The digest of the manifest at a digest or tag, or None where there is none."""
        answer = await self._call("HEAD", repository, f"manifests/{reference}", headers={"Accept": ACCEPT})
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise refusal(answer, f"manifest {repository}@{reference}")
        stated: str | None = answer.headers.get("docker-content-digest")
        return stated or (await self.get_manifest(repository, reference)).digest

    async def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> None:
        """Store a manifest at a digest or tag. What it lists must be there already."""
        headers = {"Content-Type": media_type}
        answer = await self._call("PUT", repository, f"manifests/{reference}", headers=headers, content=data, push=True)
        if answer.status != 201:
            raise refusal(answer, f"manifest {repository}@{reference}")
        check_digest(data, answer.headers.get("docker-content-digest", digest_of(data)), f"manifest {repository}@{reference}")

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has the blob."""
        answer = await self._call("HEAD", repository, f"blobs/{digest}")
        # A redirect leads to where the blob is stored: it is there.
        if answer.status in (200, 404) or answer.status in _REDIRECTS:
            return answer.status != 404
        raise refusal(answer, f"blob {repository}@{digest}")

    @asynccontextmanager
    async def open_blob(self, repository: str, digest: str, size: int) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """The blob's content, once, in chunks; size and digest are checked before the last one comes.

        Raises, also while reading, NotFoundError, DigestMismatchError, RegistryUnavailableError.
        """
        async with AsyncExitStack() as stack:
            response = await self._open(stack, repository, digest)
            yield await stack.enter_async_context(aclosing(verified(self._transport.body(response), digest, size)))

    async def read_blob(self, repository: str, digest: str, size: int) -> bytes:
        """A small blob as bytes. The caller decides whether `size` is small."""

        async def attempt() -> bytes:
            async with self.open_blob(repository, digest, size) as chunks:
                return b"".join([chunk async for chunk in chunks])

        return await self.retrying(attempt)

    async def put_blob(self, repository: str, digest: str, size: int, chunks: Chunks) -> None:
        """Upload a blob in a single streaming PUT; a failed upload begins again from the first byte.

        What `chunks` raises ends the upload before the registry has the whole blob, and comes back as it is; only a
        RegistryUnavailableError is tried again.
        """

        async def attempt() -> None:
            await self._upload(repository, await self._start_upload(repository, digest), digest, size, chunks)

        await self.retrying(attempt)

    async def retrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Do a transfer, and again from its beginning when it breaks off, as often as the retry policy says."""
        tried = 0
        while True:
            tried += 1
            try:
                return await attempt()
            except RegistryUnavailableError:
                if not await self._transport.retry.pause(tried + 1):
                    raise

    async def mount_blob(self, repository: str, digest: str, from_repository: str) -> bool:
        """Take a blob over from another repository of the same registry; False if the registry would rather have it sent."""
        url = self._url(repository, f"blobs/uploads/?mount={digest}&from={from_repository}")
        scopes = (Scope(repository, "pull,push"), Scope(from_repository, "pull"))
        try:
            answer = await self._send("POST", url, scopes, {"Content-Length": "0"})
        except (AccessRefusedError, TicketRefusedError):
            return False
        if answer.status == 201:
            return True
        if answer.status != 202:
            raise refusal(answer, f"an upload to {repository}")
        await self._send("DELETE", self._location(answer), scopes)
        return False

    async def referrers(self, repository: str, digest: str) -> Referrers:
        """What refers to `digest`: by the referrers API, else by the fallback tag `sha256-<hex>`."""
        found: list[Descriptor] = []
        url: httpx.URL | None = self._url(repository, f"referrers/{digest}")
        while url is not None:
            answer = await self._send("GET", url, self._scopes(repository))
            if answer.status in (404, 405):
                index = await self.find_manifest(repository, tag_of(digest))
                return Referrers(tuple(index.body().manifests) if index else (), by_api=False)
            if answer.status != 200:
                raise refusal(answer, f"the referrers of {repository}@{digest}")
            found += Manifest(answer.body, IMAGE_INDEX, digest).body().manifests
            url = next_page(answer)
        return Referrers(tuple(found), by_api=True)

    async def _call(
        self,
        method: str,
        repository: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        push: bool = False,
    ) -> Answer:
        if push:
            self.will_push(repository)
        return await self._send(method, self._url(repository, path), self._scopes(repository), headers, content)

    async def _send(
        self,
        method: str,
        url: httpx.URL,
        scopes: tuple[Scope, ...],
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        authorization = await self._authorizer.header(scopes)
        answer = await self._transport.request(method, url, self._with(headers or {}, authorization, url), content)
        if answer.status == 401:
            authorization = await self._authorizer.answer(answer, authorization, scopes)
            if authorization is not None:
                answer = await self._transport.request(method, url, self._with(headers or {}, authorization, url), content)
        if answer.status in (401, 403):
            raise refusal(answer, f"{method} {url.path}")
        return answer

    async def _open(self, stack: AsyncExitStack, repository: str, digest: str) -> httpx.Response:
        url = self._url(repository, f"blobs/{digest}")
        scopes = self._scopes(repository)
        authorization = await self._authorizer.header(scopes)
        asked = False
        for _ in range(_MOST_REDIRECTS):
            headers = self._with({"Accept-Encoding": "identity"}, authorization, url)
            response = await stack.enter_async_context(self._transport.stream(url, headers))
            if response.status_code == 200:
                return response
            answer = Answer(url, response.status_code, response.headers, b"")
            if answer.status in _REDIRECTS:
                url = self._location(answer)
            elif answer.status == 401 and not asked:
                asked = True
                authorization = await self._authorizer.answer(answer, authorization, scopes)
            else:
                raise refusal(answer, f"blob {repository}@{digest}")
        raise BadAnswerError(f"blob {repository}@{digest}: more than {_MOST_REDIRECTS} redirects")

    async def _start_upload(self, repository: str, digest: str) -> httpx.URL:
        answer = await self._call("POST", repository, "blobs/uploads/", headers={"Content-Length": "0"}, push=True)
        if answer.status != 202:
            raise refusal(answer, f"an upload to {repository}")
        location = self._location(answer)
        # The location may carry a query, which is signed by some registries: it is kept to the letter.
        return location.copy_with(query=b"&".join(filter(None, [location.query, b"digest=" + digest.encode()])))

    async def _upload(self, repository: str, location: httpx.URL, digest: str, size: int, chunks: Chunks) -> None:
        authorization = await self._authorizer.header(self._scopes(repository))
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        async with aclosing(chunks()) as content:
            answer = await self._transport.send("PUT", location, self._with(headers, authorization, location), content)
        if answer.status != 201:
            raise refusal(answer, f"blob {repository}@{digest}")

    def _scopes(self, repository: str) -> tuple[Scope, ...]:
        return (Scope(repository, "pull,push" if repository in self._written else "pull"),)

    def _url(self, repository: str, path: str) -> httpx.URL:
        return self.url.join(f"v2/{repository}/{path}")

    def _location(self, answer: Answer) -> httpx.URL:
        location = answer.headers.get("location")
        if not location:
            raise BadAnswerError(f"{self.url} answers {answer.status} without a Location")
        return answer.url.join(location)

    def _with(self, headers: dict[str, str], authorization: str | None, url: httpx.URL) -> dict[str, str]:
        # Storage that a registry redirects to must not see the token, and refuses requests that carry one.
        same_origin = (url.scheme, url.netloc) == (self.url.scheme, self.url.netloc)
        return headers | ({"Authorization": authorization} if authorization and same_origin else {})
