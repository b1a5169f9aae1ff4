"""What the API server's refusals mean (API reference: `Status`), without the values that its messages repeat."""

import re
from collections.abc import Iterator
from typing import Any

import httpx

from agent.failure import CodedError
from agent.kubernetes.errors import (
    ClusterForbiddenError,
    ClusterLoginError,
    ClusterUnreachableError,
    FieldConflictError,
    ImmutableFieldError,
    NamespaceMissingError,
    ObjectChangedError,
    ObjectRefusedError,
)
from agent.kubernetes.objects import Ref, Resource

_CONFLICT = re.compile(r'conflict with "(.*)"(?: with subresource "(.*)")? using (\S+)')
_VALUE = re.compile(r"^((?:\w+ )*value): .*: ", re.DOTALL | re.IGNORECASE)
_CANNOT = re.compile(r" cannot (\w+) resource ")
_MISSING_NAMESPACE = re.compile(r'namespaces "([^"]+)" not found')
_UNKNOWN_FIELD = re.compile(r'(unknown|duplicate) field "([^"]+)"')
_MOST_TEXT = 300


def refusal(answer: httpx.Response, document: Any, resource: Resource | None, ref: Ref | None) -> CodedError:
    """The error for an answer that isn't a success."""
    status = document if isinstance(document, dict) and document.get("kind") == "Status" else {}
    message, causes = str(status.get("message") or ""), (status.get("details") or {}).get("causes") or []
    what = str(ref) if ref else answer.request.url.path
    match answer.status_code:
        case 401:
            return ClusterLoginError(f"the cluster at {_server(answer)} doesn't take the agent's credentials")
        case 403:
            return _forbidden(message, causes, resource, ref, what)
        case 404 if found := _MISSING_NAMESPACE.search(message):
            return NamespaceMissingError(f"{what}: there is no namespace {found[1]!r}")
        case 409 if any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
            return FieldConflictError(f"{what}: others manage what the component sets: " + "; ".join(_conflicts(causes)))
        case 409:
            return ObjectChangedError(f"{what} was changed, or made anew, since the plan was made")
        case 400 | 413 | 422:
            return _refused(what, causes, message, ref)
    if not status:
        return ClusterUnreachableError(f"{_server(answer)} answers {answer.status_code} to {what}, and not as an API server")
    said = "" if _secret(ref) else f": {message[:_MOST_TEXT]}"
    return ClusterUnreachableError(f"the cluster answers {answer.status_code} to {what}{said}")


def _server(answer: httpx.Response) -> str:
    url = answer.request.url
    return f"{url.scheme}://{url.netloc.decode()}"


def _forbidden(message: str, causes: list[dict[str, str]], resource: Resource | None, ref: Ref | None, what: str) -> CodedError:
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return ObjectRefusedError(f"{what}: its namespace is being deleted", remedy="Wait until it is gone; then deploy again.")
    if resource is None or ref is None:
        return ClusterForbiddenError(f"the agent's identity may not ask for {what}", remedy="Let it do so, by a ClusterRole.")
    cannot = _CANNOT.search(message)
    if cannot is None:
        # Not RBAC: an admission plugin, such as a quota or a policy of the customer's.
        said = "" if _secret(ref) else f": {message[:_MOST_TEXT]}"
        return ObjectRefusedError(f"{what} is not allowed{said}", remedy="Ask who runs the cluster, or correct the object.")
    verb = cannot[1]  # an apply of what isn't there needs `create` as well
    where = f"in namespace {ref.namespace}" if ref.namespace else "in the whole cluster"
    kind = "Role" if ref.namespace else "ClusterRole"
    verbs = '["get", "list", "create", "patch", "delete"]' if verb in ("patch", "create", "delete") else f'["{verb}"]'
    return ClusterForbiddenError(
        f"the agent's identity may not {verb} {resource.plural}{f'.{resource.group}' if resource.group else ''} {where}",
        remedy=f"Bind it to a {kind} with this rule: "
        f'{{apiGroups: ["{resource.group}"], resources: ["{resource.plural}"], verbs: {verbs}}}',
    )


def _conflicts(causes: list[dict[str, str]]) -> Iterator[str]:
    for cause in causes:
        found = _CONFLICT.search(cause.get("message", ""))
        manager = repr(found[1]) if found else "another manager"
        yield f"{cause.get('field', '').removeprefix('.')} by {manager}"


def _refused(what: str, causes: list[dict[str, str]], message: str, ref: Ref | None) -> CodedError:
    immutable = [cause for cause in causes if _is_immutable(cause.get("message", ""))]
    if immutable:
        fields = ", ".join(sorted({cause.get("field", "") for cause in immutable}))
        return ImmutableFieldError(f"{what}: {fields} can't be changed on an object that exists")
    if causes:
        said = "; ".join(f"{cause.get('field', '')}: {_without_value(cause.get('message', ''), ref)}" for cause in causes)
        return ObjectRefusedError(f"{what} is not valid: {said}")
    if unknown := _UNKNOWN_FIELD.findall(message):
        return ObjectRefusedError(f"{what} is not valid: " + "; ".join(f"{how} field {name!r}" for how, name in unknown))
    said = "" if _secret(ref) else f": {message[:_MOST_TEXT]}"
    return ObjectRefusedError(f"{what} is not valid{said}")


def _is_immutable(message: str) -> bool:
    return "immutable" in message or "cannot change" in message or "updates to statefulset spec" in message


def _without_value(message: str, ref: Ref | None) -> str:
    """`Invalid value: "x": must be …` without the x, and nothing of a Secret but what kind of wrong it is."""
    if _secret(ref):
        return message.partition(":")[0]
    return _VALUE.sub(r"\1: ", message)[:_MOST_TEXT]


def _secret(ref: Ref | None) -> bool:
    return ref is not None and ref.kind == "Secret"
