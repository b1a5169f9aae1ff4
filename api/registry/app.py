"""The registry as an ASGI app, alone or beside the routes of another one."""

import errno
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from api.registry.blob_routes import BlobRoutes
from api.registry.credentials import Credentials
from api.registry.errors import MethodUnsupportedError, RegistryError, StorageFullError
from api.registry.guard import Guard
from api.registry.manifest_routes import ManifestRoutes
from api.registry.storage import RegistryStorage
from api.registry.token_route import TokenRoute
from api.registry.tokens import TokenSigner
from api.registry.upload_routes import UploadRoutes
from api.registry.uploads import Uploads

if TYPE_CHECKING:  # a registry that runs alone has no front, and doesn't load httpx
    from api.registry.front import Front, FrontRoutes

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

_VERSION = {"Docker-Distribution-API-Version": "registry/2.0"}


def create_registry(
    storage: RegistryStorage,
    signer: TokenSigner,
    credentials: Credentials,
    *,
    service: str,
    admit: Callable[[Request], None] = lambda _: None,
    under_way: Uploads | None = None,
    read_only: bool = False,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
    more: Mapping[str, Handler] | None = None,
    front: "Front | None" = None,
) -> Starlette:
    """The registry under `/v2` and its token endpoint at `/token`. The caller closes the storage when the app has stopped.

    `service` is the registry's name for itself, and the audience of its tokens. `admit` is asked before a credential is looked
    at, and refuses by raising a RegistryError. Uploads (`under_way`, made in the storage's scratch folder) are known to this
    app alone: one process, and one app in it, serves a storage. A `read_only` registry refuses every write. `lifespan`
    is for a registry that runs alone: Starlette runs it around the app. `more` are handlers of GET for paths below `/token/`.
    What is read of repositories before which there is a `front` is that one's; the caller closes it.
    """
    guard = Guard(signer, service, read_only)
    blobs = BlobRoutes(storage, guard)
    uploads = UploadRoutes(storage, guard, under_way or Uploads(storage.scratch))
    manifests = ManifestRoutes(storage, guard)
    token = TokenRoute(signer, credentials, service, admit)
    fronted = front.routes(guard) if front else None

    def read(own: Handler, theirs: "Callable[[FrontRoutes], Handler]") -> Handler:
        async def choose(request: Request) -> Response:
            handler = theirs(fronted) if fronted and fronted.front.serves(request) else own
            return await handler(request)

        return choose if fronted else own

    blob = {"GET": read(blobs.get, lambda routes: routes.blob), "HEAD": read(blobs.head, lambda routes: routes.blob)}
    manifest = read(manifests.get, lambda routes: routes.manifest)

    async def ping(request: Request) -> Response:
        guard.identify(request)
        return JSONResponse({}, headers=_VERSION)

    repository = "/v2/{repository:path}"
    routes: list[BaseRoute] = [
        Route("/token", _ByMethod(GET=token.get)),
        *(Route(path, _ByMethod(GET=handler)) for path, handler in (more or {}).items()),
        Route("/v2", _ByMethod(GET=ping, HEAD=ping)),
        Route("/v2/", _ByMethod(GET=ping, HEAD=ping)),
        Route(f"{repository}/blobs/uploads/", _ByMethod(POST=uploads.start)),
        Route(
            f"{repository}/blobs/uploads/{{upload_id}}",
            _ByMethod(GET=uploads.status, PATCH=uploads.patch, PUT=uploads.put, DELETE=uploads.cancel),
        ),
        Route(f"{repository}/blobs/{{digest}}", _ByMethod(**blob, DELETE=blobs.delete)),
        Route(
            f"{repository}/manifests/{{reference}}",
            _ByMethod(GET=manifest, HEAD=manifest, PUT=manifests.put, DELETE=manifests.delete),
        ),
        Route(f"{repository}/tags/list", _ByMethod(GET=read(manifests.tags, lambda routes: routes.tags))),
        Route(f"{repository}/referrers/{{digest}}", _ByMethod(GET=read(manifests.referrers, lambda routes: routes.referrers))),
    ]
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            RegistryError: _answer_error,
            HTTPException: _answer_no_route,
            ClientDisconnect: _answer_nobody,
            OSError: _answer_full_disk,
        },
    )


def registry_routes(registry: Starlette) -> list[BaseRoute]:
    """The paths of the registry as routes of another app, which they must be at the root of: `/v2` has no prefix in OCI."""
    return [
        Route(path, registry, include_in_schema=False) for path in ("/v2", "/v2/{rest:path}", "/token", "/token/{rest:path}")
    ]


class _ByMethod:
    """The handlers of one path by method. Any other method, HEAD too, is refused with the list of these."""

    def __init__(self, **handlers: Handler) -> None:
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        handler = self._handlers.get(request.method)
        if handler is None:
            allowed = ", ".join(self._handlers)
            raise MethodUnsupportedError(f"{request.method} is not supported here, only {allowed}", headers={"Allow": allowed})
        response = await handler(request)
        await response(scope, receive, send)


def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RegistryError)
    # Without credentials a 401 is no refusal: it is how every client learns where the token endpoint is.
    if error.status in (401, 403) and "authorization" in request.headers:
        subject = getattr(request.state, "subject", "")
        facts = {
            "method": request.method,
            "path": request.url.path,
            "subject": subject,
            "code": error.code,
            "reason": error.message,
        }
        logger.warning("refused %(method)s %(path)s to %(subject)r: %(reason)s", facts, extra={"refusal": facts})
    return JSONResponse(error.body(), error.status, {**error.headers, **_VERSION})


def _answer_no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = {"errors": [{"code": "UNSUPPORTED", "message": f"{request.url.path} is not a path of this registry"}]}
    return JSONResponse(body, error.status_code, error.headers)


def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # the client has gone; nothing reads this


def _answer_full_disk(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise error
    logger.error("the registry's disk is full: %s", error)
    return _answer_error(request, StorageFullError("the registry's disk is full; its operator must make room"))
