"""Kubernetes objects as JSON, and how they are named."""

from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]
"""An object as the API has it."""


@dataclass(frozen=True, order=True)
class Ref:
    """One object. `namespace` is empty for what is in none."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, obj: Obj) -> "Ref":
        """The object's own name."""
        metadata = obj.get("metadata") or {}
        return cls(obj.get("apiVersion", ""), obj.get("kind", ""), metadata.get("namespace") or "", metadata.get("name") or "")

    @property
    def group(self) -> str:
        """The API group; empty for the core's."""
        return self.api_version.rpartition("/")[0]

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes it the same object in whatever version of the API."""
        return self.group, self.kind, self.namespace, self.name

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True)
class Resource:
    """What the API server says of a kind."""

    api_version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def group(self) -> str:
        """The API group; empty for the core's."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str, name: str = "") -> str:
        """Where the object, or the collection, is on the API server."""
        base = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{base}{inside}/{self.plural}" + (f"/{name}" if name else "")


def metadata(obj: Obj) -> Obj:
    """The object's metadata."""
    found: Obj = obj.get("metadata") or {}
    return found


def status(obj: Obj) -> Obj:
    """The object's status, as far as it has one."""
    found: Obj = obj.get("status") or {}
    return found
