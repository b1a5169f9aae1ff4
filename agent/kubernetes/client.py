"""The calls to the API server that the agent makes ("Kubernetes API Concepts", "Server-Side Apply")."""

import asyncio
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx

from agent.kubernetes.access import ClusterSettings
from agent.kubernetes.answers import refusal
from agent.kubernetes.errors import ClusterUnreachableError, NoClusterError, UnknownKindError
from agent.kubernetes.login import ClusterAccess, Login
from agent.kubernetes.objects import Obj, Ref, Resource
from agent.oci.retry import RetryPolicy, retry_after_seconds
from agent.outbound import Proxies

_TIMEOUT = httpx.Timeout(60, connect=10)
_AGAIN = frozenset({429, 500, 502, 503, 504})
_PAGE = 500

Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass
class KubernetesClient:
    """One cluster, with one user. Every call is one that may be made again, and is, where the server or the way to it fails.

    Every method raises ClusterUnreachableError, ClusterLoginError, ClusterForbiddenError and ObjectRefusedError.
    """

    access: ClusterAccess
    http: httpx.AsyncClient
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(tries=4))
    _resources: dict[str, dict[str, Resource]] = field(default_factory=dict)

    async def version(self) -> str:
        """The server's version: `v1.34.0`."""
        found = await self._call("GET", "/version", None)
        return str(found.get("gitVersion", ""))

    async def resource(self, api_version: str, kind: str) -> Resource:
        """What the server says of a kind; kept once it is known. Raises UnknownKindError."""
        if kind not in self._resources.get(api_version, {}):
            self._resources[api_version] = await self._discover(api_version)
        found = self._resources[api_version].get(kind)
        if found is None:
            raise UnknownKindError(f"the cluster has no kind {kind} in {api_version}")
        return found

    async def api_versions(self) -> list[str]:
        """All that the server serves, as in helm's `.Capabilities.APIVersions`: `apps/v1`, and `apps/v1/Deployment`."""
        groups = (await self._call("GET", "/apis", None)).get("groups") or []
        versions = ["v1", *(each["groupVersion"] for group in groups for each in group.get("versions") or [])]
        found = []
        for version in versions:
            self._resources[version] = await self._discover(version)
            found += [version, *(f"{version}/{kind}" for kind in self._resources[version])]
        return found

    async def get(self, ref: Ref) -> Obj | None:
        """The object, or None if there is none. Raises UnknownKindError."""
        resource = await self.resource(ref.api_version, ref.kind)
        return await self._find("GET", resource.path(ref.namespace, ref.name), _Asked(resource, ref))

    async def list(self, api_version: str, kind: str, namespace: str, labels: str = "", fields: str = "") -> list[Obj]:
        """The objects of a kind that the selectors match; in all namespaces if `namespace` is empty."""
        resource = await self.resource(api_version, kind)
        asked = _Asked(resource, Ref(api_version, kind, namespace, ""))
        found: list[Obj] = []
        token = ""
        while True:
            query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(_PAGE), "continue": token}
            path = resource.path(namespace)
            page = await self._call("GET", path, asked, query={name: value for name, value in query.items() if value})
            found += [{"apiVersion": api_version, "kind": kind, **item} for item in page.get("items") or []]
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return found

    async def apply(self, obj: Obj, manager: str, *, force: bool = False, dry_run: bool = False) -> Obj:
        """Server-side apply; gives the object as it is then, or, with `dry_run`, as it would be.

        Raises FieldConflictError, ImmutableFieldError, NamespaceMissingError, UnknownKindError, and ObjectChangedError if the
        object has a `uid` or a `resourceVersion` that isn't the live one's.
        """
        ref = Ref.of(obj)
        resource = await self.resource(ref.api_version, ref.kind)
        query = {"fieldManager": manager, "force": json.dumps(force), "fieldValidation": "Strict"}
        return await self._call(
            "PATCH",
            resource.path(ref.namespace, ref.name),
            _Asked(resource, ref),
            query=query | ({"dryRun": "All"} if dry_run else {}),
            body=obj,
            content_type="application/apply-patch+yaml",  # JSON is YAML
        )

    async def delete(self, ref: Ref, uid: str | None = None, propagation: Propagation = "Background") -> bool:
        """Begin to delete the object; False if there is none. Raises ObjectChangedError if it isn't the one with this `uid`."""
        resource = await self.resource(ref.api_version, ref.kind)
        body: Obj = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        asked = _Asked(resource, ref)
        return await self._find("DELETE", resource.path(ref.namespace, ref.name), asked, body=body) is not None

    async def may(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether the agent's identity may do so (SelfSubjectAccessReview)."""
        wanted = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }
        found = await self._call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", None, body=body)
        return bool((found.get("status") or {}).get("allowed"))

    async def _discover(self, api_version: str) -> dict[str, Resource]:
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        found = await self._find("GET", path, None)
        if found is None:
            raise UnknownKindError(f"the cluster has no API {api_version}")
        return {
            each["kind"]: Resource(api_version, each["name"], each["kind"], each["namespaced"])
            for each in found.get("resources") or []
            if "/" not in each["name"]
        }

    async def _find(self, method: str, path: str, asked: "_Asked | None", *, body: Obj | None = None) -> Obj | None:
        """What the server answers, or None for 404."""
        answer = await self._send(method, path, {}, body, "application/json")
        if answer.status_code == 404:
            return None
        return _document(answer, asked)

    async def _call(
        self,
        method: str,
        path: str,
        asked: "_Asked | None",
        *,
        query: Mapping[str, str] | None = None,
        body: Obj | None = None,
        content_type: str = "application/json",
    ) -> Obj:
        return _document(await self._send(method, path, query or {}, body, content_type), asked)

    async def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Obj | None, content_type: str
    ) -> httpx.Response:
        """The answer, after as many tries as it takes, with credentials that are still good."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json"} | ({} if content is None else {"Content-Type": content_type})
        tries, afresh = 1, False
        while True:
            login = await self.access.login(afresh)
            try:
                answer = await self.http.request(
                    method,
                    self.access.server + path,
                    params=dict(query),
                    content=content,
                    headers=headers | ({"Authorization": f"Bearer {login.token}"} if login.token else {}),
                    auth=login.basic,
                )
            except httpx.TransportError as error:
                tries += 1
                if not await self.retry.pause(tries):
                    raise unreachable(self.access.server, error) from None
                continue
            if answer.status_code == 401 and not afresh:
                afresh = True
                continue
            if answer.status_code in _AGAIN:
                tries += 1
                if await self.retry.pause(tries, retry_after_seconds(answer.headers.get("Retry-After"), datetime.now(UTC))):
                    continue
            return answer


@dataclass(frozen=True)
class _Asked:
    """What a call was about, for its error."""

    resource: Resource
    ref: Ref


def _document(answer: httpx.Response, asked: _Asked | None) -> Obj:
    try:
        document = answer.json()
    except ValueError:
        document = None
    if answer.is_success and isinstance(document, dict):
        return document
    raise refusal(answer, document, asked.resource if asked else None, asked.ref if asked else None)


def unreachable(server: str, error: Exception) -> ClusterUnreachableError:
    """In words, why a server could not be reached."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ClusterUnreachableError(f"the cluster at {server} can't be reached: {reason}")


@asynccontextmanager
async def connect(settings: ClusterSettings) -> AsyncIterator[KubernetesClient]:
    """A client for one job. Nothing is sent yet. Raises NoClusterError, ClusterLoginError."""
    access = await asyncio.to_thread(settings.access)
    login = await access.login(False)
    context = await asyncio.to_thread(_tls, access, login)
    proxy = access.proxy or Proxies.of_environment(settings.env).to(httpx.URL(access.server))
    extensions: dict[str, Any] = {}
    if access.server_name:
        extensions["sni_hostname"] = access.server_name

    async def named(request: httpx.Request) -> None:
        request.extensions.update(extensions)

    async with httpx.AsyncClient(
        verify=context, proxy=proxy, timeout=_TIMEOUT, event_hooks={"request": [named]}, trust_env=False
    ) as http:
        yield KubernetesClient(access, http)


def _tls(access: ClusterAccess, login: Login) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=access.authority)
        if not access.verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if login.certificate and login.key:
            with tempfile.TemporaryDirectory() as folder:  # of mode 0700; the library reads files only
                file = Path(folder, "client.pem")
                file.write_text(f"{login.certificate}\n{login.key}")
                context.load_cert_chain(file)
    except ssl.SSLError as error:
        raise NoClusterError(f"the certificates for {access.server} can't be used: {error.reason or error}") from None
    return context
