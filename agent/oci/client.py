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
from agent.oci.reach import check_reach, origin_of
from agent.oci.retry import RetryPolicy
from agent.oci.token import Authorizer, Credential, LoginTicket, Renew, Scope
from agent.oci.transport import Address, Answer, Transport

T = TypeVar("T")

Chunks = Callable[[], AsyncGenerator[bytes, None]]
"""Opens the content of a blob from its beginning; called again for each try."""

DEFAULT_RETRY = RetryPolicy()
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_MOST_PAGES = 1000


@dataclass(frozen=True)
class Referrers:
    """The manifests whose subject is a digest. `by_api` is False where the registry lacks the referrers API."""

    descriptors: tuple[Descriptor, ...]
    by_api: bool


class RegistryClient:
    """One registry, with one credential, and with what `renew` gets when that has done its service.

    Every method raises RegistryUnavailableError when there is no answer after all tries, TicketRefusedError when the token
    endpoint doesn't take the credential, AccessRefusedError, and BadAnswerError. The caller owns `http`. Repositories are named
    without the `prefix` that all of them have in this registry.
    """

    def __init__(
        self,
        url: str,
        credential: Credential | LoginTicket | None,
        http: httpx.AsyncClient,
        *,
        retry: RetryPolicy = DEFAULT_RETRY,
        clock: Callable[[], float] = time.monotonic,
        prefix: str = "",
        renew: Renew | None = None,
    ) -> None:
        self.url = httpx.URL(url.rstrip("/") + "/")
        self.retry = retry
        self._transport = Transport(http, retry)
        self._prefix = prefix
        self._authorizer = Authorizer(self.url, credential, self._transport, clock, prefix, renew)
        self._written: set[str] = set()

    def name_of(self, repository: str) -> str:
        """A repository as people and their tools name it: with the registry's host before it."""
        return f"{self.url.netloc.decode()}/{self._path(repository)}"

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

    async def put_manifest(
        self, repository: str, reference: str, data: bytes, media_type: str, *, over: str | None = None
    ) -> None:
        """Store a manifest at a digest or tag. What it lists must be there already.

        With `over`, only if the reference names this digest now, or nothing if it is empty; else TagMovedError. The built-in
        registry keeps to that (RFC 9110, section 13.1); the distribution specification doesn't ask it of others.
        """
        headers = {"Content-Type": media_type}
        if over is not None:
            headers |= {"If-Match": f'"{over}"'} if over else {"If-None-Match": "*"}
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
            await self._upload(repository, await self.start_upload(repository), digest, size, chunks)

        await self.retrying(attempt)

    async def delete_blob(self, repository: str, digest: str) -> bool:
        """Take a blob away; False if the registry doesn't let this client do that."""
        scopes = (Scope(repository, "pull,push,delete"),)
        try:
            return (await self._send("DELETE", self._url(repository, f"blobs/{digest}"), scopes)).status == 202
        except (AccessRefusedError, TicketRefusedError):
            return False

    async def blob_route(self, repository: str, digest: str) -> "BlobRoute":
        """The way to a blob, as far as it is known without asking for it."""
        return BlobRoute(self, repository, digest, await self._address(repository, self._url(repository, f"blobs/{digest}")))

    async def start_upload(self, repository: str) -> httpx.URL:
        """Begin the upload of a blob; gives its address."""
        answer = await self._call("POST", repository, "blobs/uploads/", headers={"Content-Length": "0"}, push=True)
        if answer.status != 202:
            raise refusal(answer, f"an upload to {repository}")
        return await self._upload_location(answer)

    async def find_upload(self, repository: str, upload: httpx.URL) -> tuple[httpx.URL, int] | None:
        """Where an upload that broke off goes on, and how many bytes the registry has; None if it begins again."""
        answer = await self._send("GET", upload, self._scopes(repository))
        last = answer.headers.get("range", "").removeprefix("bytes=").rpartition("-")[2]
        # "0-0" is written both for no byte and for one.
        if answer.status != 204 or not last.isdigit() or last == "0":
            return None
        return (await self._upload_location(answer) if "location" in answer.headers else upload), int(last) + 1

    async def put_address(self, repository: str, upload: httpx.URL, digest: str) -> Address:
        """Where the rest of an upload goes, and with it its end."""
        # The upload's address may carry a query, which is signed by some registries: it is kept to the letter.
        url = upload.copy_with(query=b"&".join(filter(None, [upload.query, b"digest=" + digest.encode()])))
        address = await self._address(repository, url)
        return Address(url, {**address.headers, "Content-Type": "application/octet-stream"})

    async def retrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Do a transfer, and again from its beginning when it breaks off, as often as the retry policy says."""
        tried = 0
        while True:
            tried += 1
            try:
                return await attempt()
            except RegistryUnavailableError as error:
                if not await self.retry.pause(tried + 1, error.retry_after):
                    raise

    async def mount_blob(self, repository: str, digest: str, from_repository: str) -> bool:
        """Take a blob over from another repository of the same registry; False if the registry would rather have it sent."""
        url = self._url(repository, f"blobs/uploads/?mount={digest}&from={self._path(from_repository)}")
        scopes = (Scope(repository, "pull,push"), Scope(from_repository, "pull"))
        try:
            answer = await self._send("POST", url, scopes, {"Content-Length": "0"})
        except (AccessRefusedError, TicketRefusedError):
            return False
        if answer.status == 201:
            return True
        if answer.status != 202:
            raise refusal(answer, f"an upload to {repository}")
        await self._send("DELETE", await self._upload_location(answer), scopes)
        return False

    async def referrers(self, repository: str, digest: str) -> Referrers:
        """What refers to `digest`: by the referrers API, else by the fallback tag `sha256-<hex>`."""
        found: list[Descriptor] = []
        url: httpx.URL | None = self._url(repository, f"referrers/{digest}")
        pages = 0
        while url is not None:
            pages += 1
            if pages > _MOST_PAGES:
                raise BadAnswerError(
                    f"{self.url} lists the referrers of {repository}@{digest} on more than {_MOST_PAGES} pages"
                )
            answer = await self._send("GET", url, self._scopes(repository))
            if answer.status in (404, 405):
                index = await self.find_manifest(repository, tag_of(digest))
                return Referrers(tuple(index.body().manifests) if index else (), by_api=False)
            if answer.status != 200:
                raise refusal(answer, f"the referrers of {repository}@{digest}")
            found += Manifest(answer.body, IMAGE_INDEX, digest).body().manifests
            url = next_page(answer)
            if url is not None:
                await check_reach(self.url, url, "the next page at")
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
        if answer.status == 401 and self._is_own(url):
            authorization = await self._authorizer.answer(answer, authorization, scopes)
            if authorization is not None:
                answer = await self._transport.request(method, url, self._with(headers or {}, authorization, url), content)
        if answer.status in (401, 403):
            raise refusal(answer, f"{method} {url.path}")
        return answer

    async def _open(self, stack: AsyncExitStack, repository: str, digest: str) -> httpx.Response:
        route = await self.blob_route(repository, digest)
        while True:
            headers = {**route.address.headers, "Accept-Encoding": "identity"}
            response = await stack.enter_async_context(self._transport.stream(route.address.url, headers))
            if response.status_code == 200:
                return response
            await route.follow(Answer(route.address.url, response.status_code, response.headers, b""))

    async def _upload(self, repository: str, upload: httpx.URL, digest: str, size: int, chunks: Chunks) -> None:
        put = await self.put_address(repository, upload, digest)
        async with aclosing(chunks()) as content:
            answer = await self._transport.send("PUT", put.url, {**put.headers, "Content-Length": str(size)}, content)
        if answer.status != 201:
            raise refusal(answer, f"blob {repository}@{digest}")

    async def redirected(self, answer: Answer) -> Address:
        """Where a redirect leads: without the credential, which is for the registry alone."""
        url = self._location(answer)
        await check_reach(self.url, url, "the storage at")
        return Address(url, {})

    async def answered(self, repository: str, address: Address, answer: Answer) -> Address:
        """The same address with an answer to the registry's challenge, or as it was if there is none.

        Raises AccessRefusedError where it isn't the registry that asks.
        """
        if not self._is_own(address.url):
            raise refusal(answer, f"the storage of {repository}")
        scopes = self._scopes(repository)
        authorization = await self._authorizer.answer(answer, address.headers.get("Authorization"), scopes)
        return Address(address.url, self._with(dict(address.headers), authorization, address.url))

    async def _address(self, repository: str, url: httpx.URL) -> Address:
        return Address(url, self._with({}, await self._authorizer.header(self._scopes(repository)), url))

    async def _upload_location(self, answer: Answer) -> httpx.URL:
        location = self._location(answer)
        await check_reach(self.url, location, "the upload address")
        return location

    def _scopes(self, repository: str) -> tuple[Scope, ...]:
        return (Scope(repository, "pull,push" if repository in self._written else "pull"),)

    def _url(self, repository: str, path: str) -> httpx.URL:
        return self.url.join(f"v2/{self._path(repository)}/{path}")

    def _path(self, repository: str) -> str:
        return f"{self._prefix}/{repository}" if self._prefix else repository

    def _location(self, answer: Answer) -> httpx.URL:
        location = answer.headers.get("location")
        if not location:
            raise BadAnswerError(f"{self.url} answers {answer.status} without a Location")
        return answer.url.join(location)

    def _with(self, headers: dict[str, str], authorization: str | None, url: httpx.URL) -> dict[str, str]:
        # Storage that a registry redirects to must not see the token, and refuses requests that carry one.
        return headers | ({"Authorization": authorization} if authorization and self._is_own(url) else {})

    def _is_own(self, url: httpx.URL) -> bool:
        """Whether the registry itself is there: only it sees the credential, and only it says where a token is to be had."""
        return origin_of(url) == origin_of(self.url)


class BlobRoute:
    """The way to a blob: `address` is where to ask next, and `follow` is told of each answer that isn't the blob."""

    def __init__(self, client: RegistryClient, repository: str, digest: str, address: Address) -> None:
        self.address = address
        self._client = client
        self._repository = repository
        self._digest = digest
        self._asked = False
        self._hops = 0

    async def follow(self, answer: Answer) -> None:
        """Go where a redirect leads, without the credential, or answer a challenge, once.

        Raises BadAnswerError, AccessRefusedError, NotFoundError.
        """
        what = f"blob {self._repository}@{self._digest}"
        self._hops += 1
        if self._hops > _MOST_REDIRECTS:
            raise BadAnswerError(f"{what}: more than {_MOST_REDIRECTS} redirects")
        if answer.status in _REDIRECTS:
            self.address = await self._client.redirected(answer)
        elif answer.status == 401 and not self._asked:
            self._asked = True
            self.address = await self._client.answered(self._repository, self.address, answer)
        else:
            raise refusal(answer, what)
