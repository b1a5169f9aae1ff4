"""The fake IMS over HTTP: which request means which operation, and how answers and problems are written."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from fake_ims import FakeIms, Request
from pydantic import ValidationError

from api.contract.components import ComponentCreate, ComponentUpdate
from api.contract.problems import ConflictError, FieldProblem, InvalidError, NotFoundError, ProblemError, UnauthorizedError
from api.contract.resources import (
    AppCreate,
    AppUpdate,
    DeployCreate,
    InstallCreate,
    InstallUpdate,
    ReleaseCreate,
)

TOKEN = "a-token-for-tests"

Answer = tuple[int, Any]


def answer(ims: FakeIms, request: Request) -> Answer:
    """Status and body for one request. Raises ProblemError, or ValidationError for a body that isn't the contract's."""
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        raise UnauthorizedError("the token isn't known")
    key = request.headers.get("idempotency-key")
    with ims.changed:
        if key in ims.answered:
            asked, result = ims.answered[key]
            if asked != (request.path, request.body):
                raise ConflictError("this Idempotency-Key was used for another request", remedy="Send a fresh key.")
            return result
        parts = [unquote(part) for part in request.path.removeprefix("/v1/").split("/")]
        result = _read(ims, request, parts) if request.method == "GET" else _write(ims, request, parts)
        if key:
            ims.answered[key] = (request.path, request.body), result
        ims.changed.notify_all()
        return result


def _read(ims: FakeIms, request: Request, parts: list[str]) -> Answer:
    match parts:
        case ["apps", app]:
            return 200, ims.app(app)
        case ["apps", app, "components"]:
            return 200, _page(request, [c for c in ims.components.values() if c.app_id == ims.app(app).id])
        case ["apps", app, "components", name]:
            return 200, ims.component(app, name)
        case ["installs", install]:
            return 200, ims.install(install)
        case ["releases"]:
            return 200, _page(request, ims.releases_of(request.query["app"], request.query.get("number")))
        case ["releases", release]:
            return 200, _wait(ims, request, lambda: ims.get(ims.releases, release), lambda r: r.status != "building")
        case ["deploys"]:
            install = ims.install(request.query["install"])
            return 200, _page(request, [d for d in ims.deploys.values() if d.install_id == install.id])
        case ["deploys", deploy]:
            seen = int(request.query.get("seen", "-1"))
            return 200, _wait(ims, request, lambda: ims.get(ims.deploys, deploy), lambda d: d.version != seen)
    raise NotFoundError(f"the fake has no GET {request.path}")


def _write(ims: FakeIms, request: Request, parts: list[str]) -> Answer:
    body = request.body
    dry = "dry_run" in request.query
    created = 200 if dry else 201
    match request.method, parts:
        case "POST", ["apps"]:
            return created, ims.create_app(AppCreate.model_validate(body), dry)
        case "POST", ["apps", app, "components"]:
            return created, ims.create_component(ims.app(app), ComponentCreate.model_validate(body), dry)
        case "POST", ["installs"]:
            return created, ims.create_install(InstallCreate.model_validate(body), dry)
        case "POST", ["releases"]:
            return created, ims.create_release(ReleaseCreate.model_validate(body))
        case "POST", ["deploys"]:
            return created, ims.create_deploy(DeployCreate.model_validate(body))
        case "PUT", ["apps", app]:
            return 200, ims.update_app(ims.app(app), AppUpdate.model_validate(body), dry)
        case "PUT", ["apps", app, "components", name]:
            return 200, ims.update_component(ims.component(app, name), ComponentUpdate.model_validate(body), dry)
        case "PUT", ["installs", install]:
            return 200, ims.update_install(ims.install(install), InstallUpdate.model_validate(body), dry)
        case "DELETE", ["apps", app]:
            return 204, ims.apps.pop(ims.app(app).id) and None
        case "DELETE", ["apps", app, "components", name]:
            return 204, ims.components.pop(ims.component(app, name).id) and None
        case "DELETE", ["releases", release]:
            return 204, ims.delete_release(ims.get(ims.releases, release))
        case "DELETE", ["installs", install]:
            return 204, ims.delete_install(ims.install(install))
    raise NotFoundError(f"the fake has no {request.method} {request.path}")


def _page(request: Request, items: list[Any]) -> dict[str, Any]:
    items = sorted(items, key=lambda item: item.id, reverse=request.query.get("order") == "desc")
    limit = int(request.query.get("limit", "100"))
    after = request.query.get("after")
    rest = [item for item in items if after is None or item.id > after]
    return {"items": rest[:limit], "after": rest[limit - 1].id if len(rest) > limit else None}


def _wait(ims: FakeIms, request: Request, read: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    ims.changed.wait_for(lambda: done(read()), float(request.query.get("wait", "0")))
    return read()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ims: FakeIms

    def handle_one(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", "0"))
        body = json.loads(self.rfile.read(length)) if length else None
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        request = Request(self.command, url.path, query, body, {name.lower(): value for name, value in self.headers.items()})
        self.ims.requests.append(request)
        if self.ims.next_answers:
            self._send(*self.ims.next_answers.pop(0))
            return
        try:
            status, result = answer(self.ims, request)
        except ValidationError as error:
            fields = [FieldProblem(field=".".join(map(str, e["loc"])), message=e["msg"]) for e in error.errors()]
            self._problem(InvalidError("the body is wrong", errors=fields))
        except ProblemError as error:
            self._problem(error)
        else:
            self._send(status, {}, b"" if result is None else json.dumps(result, default=_dump).encode())

    do_GET = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815 - http.server calls them so

    def _problem(self, error: ProblemError) -> None:
        self._send(error.status, {"Content-Type": "application/problem+json"}, error.problem().model_dump_json().encode())

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: pytest shows what went wrong."""


def _dump(model: Any) -> Any:
    return model.model_dump(mode="json")


def start(ims: FakeIms) -> ThreadingHTTPServer:
    """Serve `ims` on loopback until `shutdown` and `server_close`; sets its `url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"ims": ims}))
    server.daemon_threads = True
    ims.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server
