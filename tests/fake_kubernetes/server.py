"""The API server's HTTP side: who asks, for what, and how it is answered."""

import base64
import contextlib
import json
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from fake_kubernetes import answers, discovery, patches
from fake_kubernetes.answers import Refused
from fake_kubernetes.asked import Asked, Target, options, rbac, read, reviewed, within
from fake_kubernetes.certificates import Authority
from fake_kubernetes.cluster import Cluster, How, Obj
from fake_kubernetes.controllers import Controllers
from fake_kubernetes.selectors import selected

TOKEN = "token-of-the-agent"
_PATCHES = {
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
}


Denied = Callable[[Asked], bool]
Intercept = Callable[[Asked], int | None]


@dataclass
class FakeKubernetes:
    """A cluster with its API server, which runs between `start` and `stop`.

    `tokens` are the bearer tokens that are taken, each with its user. `denied` says what RBAC forbids. `intercept` sees each
    request before it is answered: the HTTP status that it gives is the answer; 0 closes the connection instead.
    """

    cluster: Cluster = field(default_factory=Cluster)
    tokens: dict[str, str] = field(default_factory=lambda: {TOKEN: "agent"})
    denied: Denied = lambda asked: False
    intercept: Intercept = lambda asked: None
    requests: list[Asked] = field(default_factory=list)
    authority: Authority = field(default_factory=Authority)
    controllers: Controllers = field(init=False)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.controllers = Controllers(self.cluster)

    def __enter__(self) -> "FakeKubernetes":
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fake Kubernetes", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.controllers.stop()
        with self.cluster.changed:
            self.cluster.changed.notify_all()
        self._server.shutdown()
        self._server.close_all()
        self._thread.join()
        if self._server.errors:
            raise self._server.errors[0]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def kubeconfig(self, file: Path, *, user: str = "", namespace: str = "default") -> Path:
        """Write a kubeconfig with TOKEN, or with a client certificate for `user`."""
        credentials: Obj = {"token": TOKEN}
        if user:
            certificate, key = self.authority.issue(user)
            credentials = {"client-certificate-data": _b64(certificate), "client-key-data": _b64(key)}
        cluster = {"server": self.url, "certificate-authority-data": _b64(self.authority.pem)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": cluster}],
            "users": [{"name": "agent", "user": credentials}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "agent", "namespace": namespace}}],
            "current-context": "fake",
        }
        file.write_text(yaml.safe_dump(document))
        return file

    def writes(self) -> list[Asked]:
        """The requests that changed, or would have changed something, but for dry runs."""
        return [each for each in self.requests if each.verb not in ("", "get", "list", "watch") and "dryRun" not in each.query]


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fake: FakeKubernetes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake
        self.errors: list[BaseException] = []
        self._open: set[socket.socket] = set()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.verify_mode = ssl.CERT_OPTIONAL
        self._tls.load_verify_locations(cadata=fake.authority.pem)
        _load(self._tls, *fake.authority.issue("kube-apiserver"))

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The handshake is the first read's, in the connection's own thread.
        wrapped = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._open.add(wrapped)
        return wrapped, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is none of ours; any other error is, and `stop` raises it."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.errors.append(error)

    def close_all(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "server.pem")
        file.write_text(certificate + key)
        context.load_cert_chain(file)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 120

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: `requests` has them."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _serve(self) -> None:
        fake = self.server.fake
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length) if length else b""
        content_type = (self.headers.get("Content-Type") or "").partition(";")[0]
        try:
            body = read(data, content_type)
            user = self._user()
            target = self._target(url.path)
            asked = Asked(
                self.command,
                url.path,
                query,
                user,
                body,
                content_type,
                self.headers.get("User-Agent") or "",
                *rbac(self.command, target, query),
            )
            fake.requests.append(asked)
            if (status := fake.intercept(asked)) is not None:
                if status == 0:
                    self.close_connection = True
                    return
                raise Refused(status, "InternalError", "the test says so")
            if target is None:
                self._answer(200, *self._discover(url.path, body, asked))
                return
            if fake.denied(asked):
                raise answers.forbidden(user, asked.verb, target.resource, target.namespace, target.name)
            if asked.verb == "watch":
                self._watch(target, query)
                return
            with fake.cluster.changed:
                code, document = self._call(target, asked)
            self._answer(code, document)
        except Refused as refused:
            self._answer(refused.code, refused.status)

    def _user(self) -> str:
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        if scheme == "Bearer" and token in self.server.fake.tokens:
            return self.server.fake.tokens[token]
        connection: Any = self.connection
        certificate = connection.getpeercert()
        if certificate and not token:
            return str(next(value for part in certificate["subject"] for name, value in part if name == "commonName"))
        raise Refused(401, "Unauthorized", "Unauthorized")

    def _target(self, path: str) -> Target | None:
        """The object or the collection; None for discovery and the like."""
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "v1"] and len(parts) > 2:
            group, version, rest = "", "v1", parts[2:]
        elif parts[0] == "apis" and len(parts) > 3 and parts[1] != "authorization.k8s.io":
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            return None
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        resource = self.server.fake.cluster.resources.get((group, version, rest[0]))
        if resource is None or len(rest) > 3:
            raise answers.no_such_resource()
        return Target(resource, namespace, rest[1] if len(rest) > 1 else "", rest[2] if len(rest) > 2 else "")

    def _discover(self, path: str, body: Any, asked: Asked) -> tuple[Any, str]:
        fake = self.server.fake
        with fake.cluster.changed:
            resources = list(fake.cluster.resources.values())
        aggregated = "as=APIGroupDiscoveryList" in (self.headers.get("Accept") or "")
        parts = path.strip("/").split("/")
        document: Any = None
        match parts:
            case ["version"]:
                document = discovery.VERSION
            case ["healthz" | "livez" | "readyz"]:
                document = "ok"
            case ["api"] if aggregated:
                return discovery.aggregated(resources, core=True), discovery.AGGREGATED
            case ["apis"] if aggregated:
                return discovery.aggregated(resources, core=False), discovery.AGGREGATED
            case ["api"]:
                document = {"kind": "APIVersions", "versions": ["v1"]}
            case ["apis"]:
                document = discovery.group_list(resources)
            case ["api", "v1"]:
                document = discovery.resource_list(resources, "", "v1")
            case ["apis", group]:
                document = discovery.group(resources, group)
            case ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] if body:
                document = {**body, "status": {"allowed": not fake.denied(reviewed(asked, body))}}
            case ["apis", group, version]:
                document = discovery.resource_list(resources, group, version)
            case ["openapi", "v3"]:
                document = discovery.openapi_paths(resources)
            case ["openapi", "v3", *rest]:
                document = discovery.openapi(resources, "/".join(rest))
        if document is None:
            raise answers.no_such_resource()
        return document, "application/json"

    def _call(self, target: Target, asked: Asked) -> tuple[int, Any]:
        cluster, resource = self.server.fake.cluster, target.resource
        namespace, name, query, body = target.namespace, target.name, asked.query, asked.body
        operation = "Apply" if asked.content_type == "application/apply-patch+yaml" else "Update"
        manager = query.get("fieldManager") or asked.agent.split("/")[0] or "unknown"
        how = How(manager, "dryRun" in query, query.get("force") == "true", target.subresource, operation)
        match asked.verb:
            case "get":
                return 200, cluster.read(resource, namespace, name)
            case "list":
                items = [obj for obj in cluster.listed(resource, namespace) if selected(obj, query)]
                listed = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
                return 200, {**listed, "metadata": {"resourceVersion": str(cluster.version)}, "items": items}
            case "create":
                return 201, cluster.create(resource, body, namespace, how)
            case "update":
                return 200, cluster.replace(resource, body, namespace, name, how)
            case "patch" if operation == "Apply":
                if not query.get("fieldManager"):
                    raise Refused(400, "BadRequest", "fieldManager is required for apply patch")
                obj, new = cluster.apply(resource, body, namespace, name, how)
                return (201 if new else 200), obj
            case "patch":
                return 200, self._patch(target, asked, how)
            case "delete":
                return 200, cluster.delete(resource, namespace, name, options(asked), how)
            case "deletecollection":
                for obj in cluster.listed(resource, namespace):
                    if selected(obj, query):
                        cluster.delete(resource, namespace, obj["metadata"]["name"], options(asked), how)
                return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _patch(self, target: Target, asked: Asked, how: How) -> Obj:
        resource = target.resource
        if asked.content_type not in _PATCHES or (resource.custom and "strategic" in asked.content_type):
            raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        old = self.server.fake.cluster.read(resource, target.namespace, target.name)
        if "strategic" in asked.content_type:
            new = patches.strategic(old, asked.body, resource)
        elif "merge" in asked.content_type:
            new = patches.merge_patch(old, asked.body)
        else:
            try:
                new = patches.json_patch(old, asked.body)
            except (LookupError, ValueError) as error:
                raise Refused(
                    422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
                ) from None
        return self.server.fake.cluster.replace(resource, new, target.namespace, target.name, how)

    def _watch(self, target: Target, query: dict[str, str]) -> None:
        """Changes as they come, after `resourceVersion`, or after all that is there ("Efficient detection of changes")."""
        fake = self.server.fake
        cluster, resource = fake.cluster, target.resource
        if target.name:
            query = {**query, "fieldSelector": f"metadata.name={target.name}"}
        ends = time.monotonic() + float(query.get("timeoutSeconds") or 60)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = query.get("resourceVersion") or ""
        with cluster.changed:
            at = int(sent or 0) or cluster.version
            first = (
                []
                if sent not in ("", "0") and query.get("sendInitialEvents") != "true"
                else cluster.listed(resource, target.namespace)
            )
            if query.get("sendInitialEvents") == "true":
                at = cluster.version
        try:
            for obj in first:
                if selected(obj, query):
                    self._event("ADDED", obj)
            if query.get("sendInitialEvents") == "true":
                metadata = {"resourceVersion": str(at), "annotations": {"k8s.io/initial-events-end": "true"}}
                self._event("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata})
            while not fake.stopping.is_set() and (left := ends - time.monotonic()) > 0:
                with cluster.changed:
                    new = [change for change in cluster.changes if change.version > at and within(change.key, target)]
                    if not new:
                        cluster.changed.wait(min(left, 1))
                        continue
                for change in new:
                    at = change.version
                    if selected(change.obj, query):
                        self._event(change.type, {**change.obj, "apiVersion": resource.api_version})
            self._chunk(b"")
        except OSError:
            self.close_connection = True

    def _event(self, kind: str, obj: Obj) -> None:
        self._chunk(json.dumps({"type": kind, "object": obj}).encode() + b"\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _answer(self, code: int, document: Any, content_type: str = "application/json") -> None:
        data = document.encode() if isinstance(document, str) else json.dumps(document).encode()
        reason = self.responses.get(code, ("",))[0]
        head = f"HTTP/1.1 {code} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {len(data)}\r\n\r\n"
        self.wfile.write(head.encode() + data)
