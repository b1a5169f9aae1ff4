"""What the server says of itself: discovery, plain and aggregated, and OpenAPI, as far as clients ask for it."""

from collections.abc import Iterable
from typing import Any

from fake_kubernetes.kinds import Resource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0", "platform": "linux/amd64"}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]

Document = dict[str, Any]


def groups(resources: Iterable[Resource]) -> dict[str, list[str]]:
    """The versions of each group but the core's."""
    found: dict[str, list[str]] = {"authorization.k8s.io": ["v1"]}
    for resource in resources:
        if resource.group and resource.version not in found.setdefault(resource.group, []):
            found[resource.group].append(resource.version)
    return found


def group_list(resources: Iterable[Resource]) -> Document:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*each) for each in groups(resources).items()]}


def group(resources: Iterable[Resource], name: str) -> Document | None:
    versions = groups(resources).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def _group(name: str, versions: list[str]) -> Document:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(resources: Iterable[Resource], name: str, version: str) -> Document | None:
    found: list[Document] = []
    for resource in resources:
        if (resource.group, resource.version) == (name, version):
            entry = {"name": resource.plural, "singularName": resource.kind.lower(), "namespaced": resource.namespaced}
            entry |= {"kind": resource.kind, "verbs": _VERBS, "shortNames": list(resource.short)}
            found.append(entry)
            if resource.status:
                more = {"name": f"{resource.plural}/status", "singularName": "", "verbs": ["get", "patch", "update"]}
                found.append({**more, "namespaced": resource.namespaced, "kind": resource.kind})
    if name == "authorization.k8s.io":
        entry = {"name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview", "namespaced": False}
        found.append({**entry, "kind": "SelfSubjectAccessReview", "verbs": ["create"]})
    if not found:
        return None
    group_version = f"{name}/{version}" if name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": found}


def aggregated(resources: Iterable[Resource], core: bool) -> Document:
    resources = list(resources)
    items = []
    for name, versions in {"": ["v1"]}.items() if core else groups(resources).items():
        listed = [
            {
                "version": version,
                "freshness": "Current",
                "resources": [_discovered(each) for each in resources if (each.group, each.version) == (name, version)],
            }
            for version in versions
        ]
        items.append({"metadata": {"name": name} if name else {}, "versions": listed})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _discovered(resource: Resource) -> Document:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    status = {"subresource": "status", "responseKind": kind, "verbs": ["get", "patch", "update"]}
    return {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.kind.lower(),
        "verbs": _VERBS,
        "shortNames": list(resource.short),
        "subresources": [status] if resource.status else [],
    }


def openapi_paths(resources: Iterable[Resource]) -> Document:
    found = {f"apis/{each.api_version}" if each.group else f"api/{each.version}" for each in resources}
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash=1"} for path in sorted(found)}}


def openapi(resources: Iterable[Resource], path: str) -> Document:
    """The document of one group and version: objects are free in form, and every patch takes `fieldValidation`."""
    paths: Document = {}
    schemas: Document = {}
    for resource in resources:
        if path != (f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"):
            continue
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        name = ".".join(filter(None, ("io.k8s.api", resource.group, resource.version, resource.kind)))
        parameters = [
            {"name": each, "in": "query", "schema": {"type": "string"}}
            for each in ("dryRun", "fieldManager", "fieldValidation", "force")
        ]
        patch = {
            "x-kubernetes-group-version-kind": kind,
            "x-kubernetes-action": "patch",
            "parameters": parameters,
            "responses": {},
        }
        where = f"/{path}/namespaces/{{namespace}}" if resource.namespaced else f"/{path}"
        paths[f"{where}/{resource.plural}/{{name}}"] = {"patch": patch}
        schema = resource.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        schemas[name] = {**schema, "x-kubernetes-group-version-kind": [kind]}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.34.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }
