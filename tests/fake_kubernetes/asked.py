"""One request: what it asks for, in the words of RBAC."""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from fake_kubernetes import protobuf
from fake_kubernetes.answers import Refused
from fake_kubernetes.cluster import Key, Obj
from fake_kubernetes.kinds import Resource

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Asked:
    """One request as it was recorded. `verb` and `resource` as RBAC names them; empty for discovery."""

    method: str
    path: str
    query: dict[str, str]
    user: str
    body: Any
    content_type: str
    agent: str
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True)
class Target:
    """What a path names."""

    resource: Resource
    namespace: str
    name: str
    subresource: str


def read(data: bytes, content_type: str) -> Any:
    if not data:
        return None
    if content_type == "application/apply-patch+yaml":
        return yaml.safe_load(data)
    if content_type != "application/vnd.kubernetes.protobuf":
        return json.loads(data)
    body = protobuf.decode(data)
    if body is None:
        raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
    return body


def rbac(method: str, target: Target | None, query: dict[str, str]) -> tuple[str, str, str, str]:
    """Verb, resource, namespace and name ("Authorization": request attributes)."""
    if target is None:
        return "", "", "", ""
    if method == "GET":
        verb = "watch" if query.get("watch") in ("true", "1") else "get" if target.name else "list"
    else:
        verb = "deletecollection" if method == "DELETE" and not target.name else _VERBS[method]
    plural = f"{target.resource.plural}/{target.subresource}" if target.subresource else target.resource.plural
    return verb, plural, target.namespace, target.name


def reviewed(asked: Asked, body: Obj) -> Asked:
    wanted = body["spec"].get("resourceAttributes") or {}
    words = (wanted.get(name, "") for name in ("verb", "resource", "namespace", "name"))
    return Asked(asked.method, asked.path, asked.query, asked.user, None, "", asked.agent, *words)


def options(asked: Asked) -> Obj:
    """DeleteOptions come in the body, or in the query."""
    return {**{name: asked.query[name] for name in ("propagationPolicy",) if name in asked.query}, **(asked.body or {})}


def within(key: Key, target: Target) -> bool:
    return key[:2] == target.resource.key and (not target.namespace or key[2] == target.namespace)
