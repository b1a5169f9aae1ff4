"""How the API server says no: a `Status` (API reference: Common Definitions)."""

from typing import Any

from fake_kubernetes.kinds import Resource
from fake_kubernetes.rules import Cause


class Refused(Exception):  # noqa: N818 - it is an answer
    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details or {},
            "code": code,
        }


def _details(resource: Resource, name: str, causes: list[Cause] | None = None) -> dict[str, Any]:
    details: dict[str, Any] = {"name": name, "group": resource.group, "kind": resource.plural}
    return {**details, "causes": causes} if causes else details


def not_found(resource: Resource, name: str) -> Refused:
    return Refused(404, "NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name))


def no_such_resource() -> Refused:
    return Refused(404, "NotFound", "the server could not find the requested resource")


def exists(resource: Resource, name: str) -> Refused:
    return Refused(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', _details(resource, name))


def changed(resource: Resource, name: str) -> Refused:
    message = (
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has been modified; please apply your '
        "changes to the latest version and try again"
    )
    return Refused(409, "Conflict", message, _details(resource, name))


def precondition(resource: Resource, name: str, what: str) -> Refused:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": Precondition failed: {what}'
    return Refused(409, "Conflict", message, _details(resource, name))


def owned_by_others(resource: Resource, name: str, causes: list[Cause]) -> Refused:
    many = "conflict" if len(causes) == 1 else "conflicts"
    said = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    return Refused(409, "Conflict", f"Apply failed with {len(causes)} {many}: {said}", _details(resource, name, causes))


def invalid(resource: Resource, name: str, causes: list[Cause]) -> Refused:
    said = ", ".join(f"{cause['field']}: {cause['message']}" for cause in causes)
    many = said if len(causes) == 1 else f"[{said}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = {"name": name, "group": resource.group, "kind": resource.kind, "causes": causes}
    return Refused(422, "Invalid", f'{kind} "{name}" is invalid: {many}', details)


def forbidden(user: str, verb: str, resource: Resource, namespace: str, name: str) -> Refused:
    where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    which = f'{resource.qualified} "{name}"' if name else resource.qualified
    message = (
        f'{which} is forbidden: User "{user}" cannot {verb} resource "{resource.plural}" in API group "{resource.group}"{where}'
    )
    return Refused(403, "Forbidden", message, _details(resource, name))


def terminating(resource: Resource, name: str, namespace: str) -> Refused:
    message = (
        f'{resource.qualified} "{name}" is forbidden: unable to create new content in namespace {namespace} because '
        "it is being terminated"
    )
    causes = [{"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated", "field": ""}]
    return Refused(403, "Forbidden", message, _details(resource, name, causes))
