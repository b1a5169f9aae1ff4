"""The IMS before a registry that knows nothing of tickets (Amazon ECR, Google Artifact Registry): truly one-time pulls.

Tokens are checked as everywhere on `/v2`. Manifests come through the IMS. For a blob the registry answers the IMS with a
redirect to a presigned address in its cloud's storage, and that address alone is passed on: the caller fetches the bytes there,
and never sees a credential of the registry. Bytes that the registry sends itself are passed through.

How far a ticket's digests reach (`digest-pinned`) is learnt from what is read: each manifest that the caller may have names
those that it may have next. A caller that asks for something else has the front look through all that belongs to its digests,
once a minute at most: another replica may have told the caller of it. Everything here is read-only.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.registry import names
from api.registry.access import Access
from api.registry.errors import (
    BlobUnknownError,
    DeniedError,
    ManifestInvalidError,
    ManifestUnknownError,
    NameUnknownError,
    RangeInvalidError,
    VendorRegistryError,
)
from api.registry.guard import Guard
from api.registry.manifests import (
    INDEX_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE,
    ManifestContent,
    StoredManifest,
    digest_of,
    read_manifest,
)
from api.registry.upstream import Upstream

ACCEPT = ", ".join(
    (
        INDEX_MEDIA_TYPE,
        MANIFEST_MEDIA_TYPE,
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "*/*",
    )
)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_KNOWN = 256
_MOST_WALKED = 1000
_WALK_SECONDS = 60.0


@dataclass
class _Reach:
    """What the digests of a ticket are known to reach; `walked_at` is when all of it was last looked through."""

    manifests: set[str]
    blobs: set[str] = field(default_factory=set)
    walked_at: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def has_reference(self, reference: str) -> bool:
        """By digest, by a cosign tag of one, or by the tag that stands in for the list of referrers where there is none."""
        return reference in self.manifests or any(reference in _tags_of(digest) for digest in self.manifests)

    def learn(self, manifest: StoredManifest) -> None:
        listed = read_manifest(manifest.content)
        self.manifests.add(manifest.digest)
        self.manifests.update(filter(names.is_digest, listed.manifests))
        self.blobs.update(listed.blobs, listed.foreign_blobs)


@dataclass(frozen=True)
class Front:
    """An upstream, and the repositories that the IMS has itself (`own`)."""

    upstream: Upstream
    own: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.monotonic
    _known: OrderedDict[tuple[str, frozenset[str]], _Reach] = field(default_factory=OrderedDict)

    def serves(self, request: Request) -> bool:
        """Whether this request is for a repository of the upstream's."""
        return request.path_params["repository"] not in self.own

    def routes(self, guard: Guard) -> "FrontRoutes":
        """The handlers of requests that `serves` is true for."""
        return FrontRoutes(self, guard)

    async def close(self) -> None:
        """Close all connections."""
        await self.upstream.close()

    def reach(self, access: Access) -> _Reach | None:
        """What is known of a ticket's reach; None for who may read the whole repository."""
        if access.digests is None:
            return None
        key = access.repository, access.digests
        found = self._known.setdefault(key, _Reach(set(access.digests)))
        self._known.move_to_end(key)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return found

    async def manifest(self, repository: str, reference: str) -> StoredManifest | None:
        """A manifest as the upstream has it; a digest is checked. Raises VendorRegistryError and the upstream's errors."""
        response, content = await self.upstream.read(repository, f"manifests/{reference}", {"Accept": ACCEPT})
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise VendorRegistryError(f"the vendor's registry answers {response.status_code} for {repository}@{reference}")
        is_digest = names.is_digest(reference)
        digest = digest_of(content, names.algorithm_of(reference) if is_digest else "sha256")
        if is_digest and digest != reference:
            raise VendorRegistryError(f"the vendor's registry gives something else for {repository}@{reference}")
        listed = _read(content, f"{repository}@{reference}")
        return StoredManifest(digest, response.headers.get("content-type", "").strip() or listed.media_type, content)

    async def referrers(self, repository: str, subject: str, query: str = "") -> "_Page | None":
        """The upstream's list of referrers, or None where it has no such API: clients then ask for the tag that stands in."""
        response, content = await self.upstream.read(repository, f"referrers/{subject}{query}")
        if response.status_code != 200:
            return None
        digests = _read(content, f"the referrers of {subject}").manifests
        return _Page(response, content, frozenset(filter(names.is_digest, digests)))

    async def walk(self, repository: str, reach: _Reach) -> None:
        """Look through all that belongs to a reach's manifests, unless that was done a moment ago."""
        async with reach.lock:
            if reach.walked_at is not None and self.clock() < reach.walked_at + _WALK_SECONDS:
                return
            walked: set[str] = set()
            while (unread := reach.manifests - walked) and len(walked) < _MOST_WALKED:
                digest = unread.pop()
                walked.add(digest)
                for reference in (digest, *_tags_of(digest)):
                    manifest = await self.manifest(repository, reference)
                    if manifest is not None:
                        reach.learn(manifest)
                listed = await self.referrers(repository, digest)
                if listed is not None:
                    reach.manifests.update(listed.digests)
            reach.walked_at = self.clock()


@dataclass(frozen=True)
class _Page:
    """A list of referrers, or a part of it."""

    response: httpx.Response
    content: bytes
    digests: frozenset[str]


@dataclass(frozen=True)
class FrontRoutes:
    """The handlers for what the upstream has."""

    front: Front
    guard: Guard

    async def manifest(self, request: Request) -> Response:
        """A manifest, as the upstream has it. Serves HEAD too."""
        access = self.guard.enter(request, "pull")
        reference = names.check_reference(request.path_params["reference"])
        reach = self.front.reach(access)
        if not await self._reaches(access, reach, lambda known: known.has_reference(reference)):
            raise DeniedError(f"the token is bound to other artifacts than {reference}; name those by digest")
        manifest = await self.front.manifest(access.repository, reference)
        if manifest is None:
            raise ManifestUnknownError(f"{access.repository} has no manifest {reference}")
        if reach is not None:
            reach.learn(manifest)
        headers = {
            "Content-Type": manifest.media_type,
            "Content-Length": str(len(manifest.content)),
            "Docker-Content-Digest": manifest.digest,
        }
        return Response(b"" if request.method == "HEAD" else manifest.content, headers=headers)

    async def referrers(self, request: Request) -> Response:
        """The manifests whose subject is this digest."""
        access = self.guard.enter(request, "pull")
        subject = names.check_digest(request.path_params["digest"])
        reach = self.front.reach(access)
        if not await self._reaches(access, reach, lambda known: subject in known.manifests):
            raise DeniedError(f"the token is bound to other artifacts than {subject}")
        found = await self.front.referrers(access.repository, subject, _query(request))
        if found is None:
            raise NameUnknownError("the vendor's registry has no list of referrers; ask for the tag that stands in for it")
        if reach is not None:
            reach.manifests.update(found.digests)
        headers = {**_kept(found.response, ("OCI-Filters-Applied",)), **_next_page(request, found.response)}
        return Response(found.content, headers={"Content-Type": INDEX_MEDIA_TYPE, **headers})

    async def tags(self, request: Request) -> Response:
        """The upstream's tags, for who may read the whole repository."""
        access = self.guard.enter(request, "pull")
        if access.digests is not None:
            raise DeniedError("the token is bound to some artifacts; it can't list tags")
        response, content = await self.front.upstream.read(access.repository, f"tags/list{_query(request)}")
        if response.status_code != 200:
            raise NameUnknownError(f"nothing was ever pushed to {access.repository}")
        return Response(content, headers={"Content-Type": "application/json", **_next_page(request, response)})

    async def blob(self, request: Request) -> Response:
        """Where a blob is, or the blob. Serves HEAD too."""
        access = self.guard.enter(request, "pull")
        digest = names.check_digest(request.path_params["digest"])
        reach = self.front.reach(access)
        if not await self._reaches(access, reach, lambda known: digest in known.blobs):
            raise DeniedError(f"the token is bound to other artifacts than those with the blob {digest}")
        asked = {"Accept-Encoding": "identity"}
        if "range" in request.headers:
            asked["Range"] = request.headers["range"]
        stack = AsyncExitStack()
        try:
            response = await stack.enter_async_context(
                self.front.upstream.ask(request.method, access.repository, f"blobs/{digest}", asked)
            )
            return self._passed_on(response, digest, stack)
        except BaseException:
            await stack.aclose()
            raise

    async def _reaches(self, access: Access, reach: _Reach | None, has: Callable[[_Reach], bool]) -> bool:
        """Whether a caller may have something: it is known, or found when all of the ticket's artifacts are looked through."""
        if reach is None or has(reach):
            return True
        await self.front.walk(access.repository, reach)
        return has(reach)

    def _passed_on(self, response: httpx.Response, digest: str, stack: AsyncExitStack) -> Response:
        """The answer for the caller, which closes the upstream's when it is done."""
        own = {"Docker-Content-Digest": digest, "Cache-Control": "no-store"}
        if response.status_code in _REDIRECTS:
            return _Passed(stack, None, 307, {**own, "Location": _location(response)})
        if response.status_code == 404:
            raise BlobUnknownError(f"there is no blob {digest}")
        if response.status_code == 416:
            raise RangeInvalidError("the blob has no such bytes", headers=_kept(response, ("Content-Range",)))
        if response.status_code not in (200, 206):
            raise VendorRegistryError(f"the vendor's registry answers {response.status_code} for the blob {digest}")
        headers = _kept(response, ("Content-Length", "Content-Range", "Accept-Ranges"))
        body = None if response.request.method == "HEAD" else response
        return _Passed(stack, body, response.status_code, {**own, **headers, "Content-Type": "application/octet-stream"})


class _Passed(StreamingResponse):
    """An upstream's bytes as they come, if there are any; its connection is given back whether or not the client stays."""

    def __init__(self, stack: AsyncExitStack, body: httpx.Response | None, status: int, headers: dict[str, str]) -> None:
        super().__init__(body.aiter_raw() if body is not None else _nothing(), status, headers)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await super().__call__(scope, receive, send)


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


def _kept(response: httpx.Response, wanted: tuple[str, ...]) -> dict[str, str]:
    return {name: response.headers[name] for name in wanted if name in response.headers}


def _location(response: httpx.Response) -> str:
    """Where a redirect leads, as the upstream said it. Raises VendorRegistryError unless a client may be told."""
    text = response.headers.get("location", "")
    try:
        to = response.url.join(text)
    except httpx.InvalidURL:
        to = httpx.URL()
    if not text or not to.host or to.scheme not in ("https", response.url.scheme) or to.userinfo:
        raise VendorRegistryError("the vendor's registry sends the IMS to an address that can't be passed on")
    return str(to)


def _next_page(request: Request, response: httpx.Response) -> dict[str, str]:
    """The upstream's link to its next page, as a link to ours: its paths have its prefix."""
    to = httpx.URL(response.links.get("next", {}).get("url", "")).query.decode()
    return {"Link": f'<{request.url.path}?{to}>; rel="next"'} if to else {}


def _query(request: Request) -> str:
    return f"?{request.url.query}" if request.url.query else ""


def _tags_of(digest: str) -> tuple[str, ...]:
    return (*names.cosign_tags(digest), digest.replace(":", "-"))


def _read(content: bytes, what: str) -> ManifestContent:
    try:
        return read_manifest(content)
    except ManifestInvalidError as error:
        raise VendorRegistryError(f"the vendor's registry has no manifest for {what}: {error}") from None
