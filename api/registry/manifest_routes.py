"""Manifests, tags and referrers (OCI distribution spec 1.1, end-3, end-7 to end-9, end-12)."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.registry import names
from api.registry.access import Access
from api.registry.errors import (
    DeniedError,
    ManifestTooLargeError,
    ManifestUnknownError,
    NameUnknownError,
    QueryInvalidError,
)
from api.registry.guard import Guard
from api.registry.manifests import INDEX_MEDIA_TYPE, MANIFEST_LIMIT, StoredManifest, read_manifest, referrers_index
from api.registry.reach import may_read_manifest
from api.registry.storage import RegistryStorage


@dataclass(frozen=True)
class ManifestRoutes:
    """The handlers for manifests, and for the lists of tags and referrers."""

    storage: RegistryStorage
    guard: Guard

    async def get(self, request: Request) -> Response:
        """The bytes that were pushed, with the Content-Type of the push. Serves HEAD too."""
        access = self.guard.enter(request, "pull")
        manifest = await asyncio.to_thread(self._read, access, request.path_params["reference"])
        content = b"" if request.method == "HEAD" else manifest.content
        headers = {
            "Content-Type": manifest.media_type,
            "Content-Length": str(len(manifest.content)),
            "Docker-Content-Digest": manifest.digest,
        }
        return Response(content, headers=headers)

    async def put(self, request: Request) -> Response:
        """Keep a manifest under its digest, and under a tag; with `If-Match` or `If-None-Match: *`, only over what it names."""
        repository = self.guard.enter(request, "push", writes=True).repository
        reference = names.check_reference(request.path_params["reference"])
        over = _read_precondition(request)
        content = await _read_body(request)
        media_type = request.headers.get("content-type", "")
        manifest = await asyncio.to_thread(self.storage.put_manifest, repository, reference, media_type, content, over=over)
        headers = {"Location": f"/v2/{repository}/manifests/{manifest.digest}", "Docker-Content-Digest": manifest.digest}
        subject = read_manifest(content).subject
        if subject is not None:
            headers["OCI-Subject"] = subject
        return Response(status_code=201, headers=headers)

    async def delete(self, request: Request) -> Response:
        """Remove a tag; or a manifest, by digest, with all its tags."""
        repository = self.guard.enter(request, "delete", writes=True).repository
        await asyncio.to_thread(self.storage.delete_manifest, repository, request.path_params["reference"])
        return Response(status_code=202)

    async def tags(self, request: Request) -> Response:
        """The tags, `?n=` at most, after `?last=`; `Link` leads to the next page."""
        access = self.guard.enter(request, "pull")
        if access.digests is not None:
            raise DeniedError("the token is bound to some artifacts; it can't list tags")
        limit = _read_limit(request.query_params.get("n"))
        tags = await asyncio.to_thread(self._tags, access.repository)
        last = request.query_params.get("last", "")
        rest = [tag for tag in tags if tag > last]
        page = rest if limit is None else rest[:limit]
        headers = {}
        if page and len(page) < len(rest):
            headers["Link"] = f'</v2/{access.repository}/tags/list?n={limit}&last={page[-1]}>; rel="next"'
        return JSONResponse({"name": access.repository, "tags": page}, headers=headers)

    async def referrers(self, request: Request) -> Response:
        """An index of the manifests whose subject is this digest, optionally only those with `?artifactType=`."""
        access = self.guard.enter(request, "pull")
        subject = names.check_digest(request.path_params["digest"])
        artifact_type = request.query_params.get("artifactType")
        index = await asyncio.to_thread(self._referrers, access, subject, artifact_type)
        headers = {"Content-Type": INDEX_MEDIA_TYPE}
        if artifact_type is not None:
            headers["OCI-Filters-Applied"] = "artifactType"
        return Response(index, headers=headers)

    def _check(self, access: Access, reference: str) -> None:
        if not may_read_manifest(self.storage, access, reference):
            raise DeniedError(f"the token is bound to other artifacts than {reference}; name those by digest")

    def _read(self, access: Access, reference: str) -> StoredManifest:
        self._check(access, reference)
        manifest = self.storage.manifest(access.repository, reference)
        if manifest is None or not self.storage.asked_for(access.repository, manifest.digest):
            raise ManifestUnknownError(f"{access.repository} has no manifest {reference}")
        return manifest

    def _tags(self, repository: str) -> list[str]:
        if not self.storage.has_repository(repository):
            raise NameUnknownError(f"nothing was ever pushed to {repository}")
        return self.storage.tags(repository)

    def _referrers(self, access: Access, subject: str, artifact_type: str | None) -> bytes:
        self._check(access, subject)
        return referrers_index(self.storage.referrers(access.repository, subject), artifact_type)


async def _read_body(request: Request) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MANIFEST_LIMIT:
            raise ManifestTooLargeError(f"a manifest may have {MANIFEST_LIMIT} bytes")
    return bytes(content)


def _read_precondition(request: Request) -> str | None:
    """The digest that must be there, "" if nothing may be, None if anything may (RFC 9110, section 13.1)."""
    if request.headers.get("if-none-match") == "*":
        return ""
    match = request.headers.get("if-match", "*")
    return None if match == "*" else names.check_digest(match.strip('"'))


def _read_limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise QueryInvalidError("n must be a number, 0 or greater, of at most 19 digits")
    return int(text)
