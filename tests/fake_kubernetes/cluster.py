"""The objects of the cluster: versions, owners of fields, deletion, and who watches."""

import copy
import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fake_kubernetes import answers
from fake_kubernetes.fields import Managed, Owner, dotted, leaves, merged, remove
from fake_kubernetes.kinds import Resource, built_in
from fake_kubernetes.rules import fill_in, wrong_with

Obj = dict[str, Any]
Key = tuple[str, str, str, str]
"""Group, plural, namespace, name."""

_KEPT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "namespace", "name")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Change:
    """One event of a watch."""

    version: int
    type: str
    key: Key
    obj: Obj


@dataclass(frozen=True)
class How:
    """How a write is to be made. `subresource` is empty or `status`."""

    manager: str = "test"
    dry_run: bool = False
    force: bool = False
    subresource: str = ""
    operation: str = "Update"


@dataclass
class Cluster:
    """Thread-safe. `reacts` are the controllers: called after each write, under the lock."""

    reacts: list[Callable[[Resource, Obj], None]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))
    resources: dict[tuple[str, str, str], Resource] = field(default_factory=dict)
    objects: dict[Key, Obj] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    version: int = 100
    _addresses: Iterator[int] = field(default_factory=lambda: itertools.count(2))
    _names: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        for resource in built_in():
            self.resources[resource.group, resource.version, resource.plural] = resource
        for name in ("default", "kube-system"):
            self.create(self.of("Namespace"), {"metadata": {"name": name}}, "", How("kube-apiserver"))

    # What tests use

    def of(self, kind: str) -> Resource:
        return next(resource for resource in self.resources.values() if resource.kind == kind)

    def find(self, kind: str, name: str, namespace: str = "default") -> Obj | None:
        """An object as it is now, or None."""
        resource = self.of(kind)
        with self.changed:
            return copy.deepcopy(self.objects.get(self.key(resource, namespace, name)))

    def names(self, kind: str, namespace: str = "default") -> list[str]:
        with self.changed:
            resource = self.of(kind)
            return sorted(obj["metadata"]["name"] for obj in self.listed(resource, namespace if resource.namespaced else ""))

    def set_status(self, kind: str, name: str, status: Obj, namespace: str = "default", manager: str = "controller") -> None:
        """What a controller of the test's own does."""
        resource = self.of(kind)
        with self.changed:
            obj = self.read(resource, namespace, name)
            self.replace(resource, {**obj, "status": status}, namespace, name, How(manager, subresource="status"))

    def edit(
        self, kind: str, name: str, change: Callable[[Obj], None], namespace: str = "default", manager: str = "kubectl"
    ) -> None:
        """What somebody else does, by hand or by another program."""
        resource = self.of(kind)
        with self.changed:
            obj = copy.deepcopy(self.read(resource, namespace, name))
            change(obj)
            self.replace(resource, obj, namespace, name, How(manager))

    # Reading

    @staticmethod
    def key(resource: Resource, namespace: str, name: str) -> Key:
        return resource.group, resource.plural, namespace if resource.namespaced else "", name

    def read(self, resource: Resource, namespace: str, name: str) -> Obj:
        found = self.objects.get(self.key(resource, namespace, name))
        if found is None:
            raise answers.not_found(resource, name)
        return {**found, "apiVersion": resource.api_version}

    def listed(self, resource: Resource, namespace: str) -> list[Obj]:
        """In one namespace; with "", in all."""
        return [
            {**obj, "apiVersion": resource.api_version}
            for key, obj in sorted(self.objects.items())
            if key[:2] == resource.key and (not namespace or key[2] == namespace)
        ]

    # Writing

    def create(self, resource: Resource, obj: Obj, namespace: str, how: How) -> Obj:
        obj = copy.deepcopy(obj)
        metadata = obj.setdefault("metadata", {})
        if "name" not in metadata and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{next(self._names):05d}"
        name = metadata.get("name", "")
        if self.key(resource, namespace, name) in self.objects:
            raise answers.exists(resource, name)
        if resource.status and resource.kind != "Namespace":
            obj.pop("status", None)
        self._begin(resource, obj, namespace)
        managed = Managed()
        managed.take((how.manager, how.operation, resource.api_version, ""), set(leaves(obj, resource)), set())
        return self._write(resource, obj, None, managed, how)

    def replace(self, resource: Resource, obj: Obj, namespace: str, name: str, how: How) -> Obj:
        """PUT, and the end of each patch that isn't an apply."""
        old = self.read(resource, namespace, name)
        if (sent := obj.get("metadata", {}).get("resourceVersion")) and sent != old["metadata"]["resourceVersion"]:
            raise answers.changed(resource, name)
        if (uid := obj.get("metadata", {}).get("uid")) and uid != old["metadata"]["uid"]:
            raise answers.precondition(
                resource, name, f"UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
            )
        new = self._limited(resource, copy.deepcopy(obj), old, how)
        before, after = leaves(old, resource), leaves(new, resource)
        changed = {path for path, value in after.items() if path not in before or before[path] != value}
        managed = Managed.of(old)
        if changed or before.keys() - after.keys():
            owner = (how.manager, how.operation, resource.api_version, how.subresource)
            managed.take(owner, changed, before.keys() - after.keys())
        return self._write(resource, new, old, managed, how)

    def apply(self, resource: Resource, applied: Obj, namespace: str, name: str, how: How) -> tuple[Obj, bool]:
        """Server-side apply; gives the object, and whether it is new."""
        owner: Owner = (how.manager, "Apply", resource.api_version, how.subresource)
        applied = copy.deepcopy(applied)
        metadata = applied.setdefault("metadata", {})
        if metadata.get("managedFields"):
            raise answers.Refused(400, "BadRequest", "metadata.managedFields must be nil")
        metadata.setdefault("name", name)
        old = self.objects.get(self.key(resource, namespace, name))
        sent = metadata.pop("resourceVersion", None)
        if sent and (old is None or sent != old["metadata"]["resourceVersion"]):
            raise answers.changed(resource, name)
        if (uid := metadata.pop("uid", None)) and (old is None or uid != old["metadata"]["uid"]):
            raise answers.precondition(resource, name, f"UID in precondition: {uid}, UID in object meta: ")
        if how.subresource == "status":
            applied = {k: v for k, v in applied.items() if k in ("apiVersion", "kind", "metadata", "status")}
        elif resource.status:
            applied.pop("status", None)
        wanted = set(leaves(applied, resource))
        if old is None:
            if how.subresource:
                raise answers.not_found(resource, name)
            managed = Managed({owner: wanted})
            self._begin(resource, applied, namespace)
            return self._write(resource, applied, None, managed, how), True
        old = {**old, "apiVersion": resource.api_version}
        managed = Managed.of(old)
        new = copy.deepcopy(merged(old, applied, resource))
        before, after = leaves(old, resource), leaves(new, resource)
        modified = {path for path in wanted if path not in before or before[path] != after.get(path)}
        conflicts = managed.conflicts(owner, modified)
        if conflicts and not how.force:
            causes = [
                {
                    "reason": "FieldManagerConflict",
                    "message": f'conflict with "{other[0]}"'
                    + (f' with subresource "{other[3]}"' if other[3] else "")
                    + f" using {other[2]}",
                    "field": dotted(path),
                }
                for other, path in conflicts
            ]
            raise answers.owned_by_others(resource, name, causes)
        for other, path in conflicts:
            managed.sets[other].discard(path)
        others = set().union(*(paths for each, paths in managed.sets.items() if each != owner))
        for path in sorted(managed.sets.get(owner, set()) - wanted, key=len, reverse=True):
            if not any(each[: len(path)] == path for each in others):
                remove(new, path)
        managed.sets[owner] = wanted
        return self._write(resource, self._limited(resource, new, old, how), old, managed, how), False

    def delete(self, resource: Resource, namespace: str, name: str, options: Obj, how: How) -> Obj:
        """Sets the deletion timestamp, and removes the object once nothing holds it."""
        obj = self.read(resource, namespace, name)
        for part, wanted in (options.get("preconditions") or {}).items():
            if wanted and obj["metadata"].get(part) != wanted:
                raise answers.precondition(resource, name, f"{part} is {obj['metadata'].get(part)}, not {wanted}")
        if how.dry_run:
            return obj
        obj = copy.deepcopy(obj)
        metadata = obj["metadata"]
        policy = options.get("propagationPolicy") or ("Orphan" if options.get("orphanDependents") else "Background")
        if policy == "Foreground" and "foregroundDeletion" not in metadata.get("finalizers", []):
            metadata.setdefault("finalizers", []).append("foregroundDeletion")
        metadata.setdefault("deletionTimestamp", now())
        metadata.setdefault("deletionGracePeriodSeconds", 0)
        if policy == "Orphan":
            for key, dependent in list(self._dependents(metadata["uid"])):
                owners = [o for o in dependent["metadata"]["ownerReferences"] if o["uid"] != metadata["uid"]]
                self._store(key, {**dependent, "metadata": {**dependent["metadata"], "ownerReferences": owners}}, "MODIFIED")
        if resource.kind == "Namespace":
            obj["status"] = {"phase": "Terminating"}
        self._store(self.key(resource, namespace, name), obj, "MODIFIED")
        self.settle()
        return self.objects.get(self.key(resource, namespace, name), obj)

    def settle(self) -> None:
        """What the garbage collector and the namespace controller do, until nothing more can go."""
        while any([self._settle(key) for key in list(self.objects) if key in self.objects]):
            pass

    def _settle(self, key: Key) -> bool:
        obj = self.objects[key]
        metadata = obj["metadata"]
        if "deletionTimestamp" not in metadata:
            owners = metadata.get("ownerReferences") or []
            alive = {
                each["metadata"]["uid"]
                for each in self.objects.values()
                if not (
                    "deletionTimestamp" in each["metadata"] and "foregroundDeletion" in each["metadata"].get("finalizers", [])
                )
            }
            if owners and not any(owner["uid"] in alive for owner in owners):
                self._store(key, {**obj, "metadata": {**metadata, "deletionTimestamp": now()}}, "MODIFIED")
                return True
            return False
        finalizers = [each for each in metadata.get("finalizers") or [] if each != "foregroundDeletion"]
        if len(finalizers) < len(metadata.get("finalizers") or []) and not list(self._dependents(metadata["uid"])):
            self._store(key, {**obj, "metadata": {**metadata, "finalizers": finalizers}}, "MODIFIED")
            return True
        if metadata.get("finalizers"):
            return False
        if key[1] == "namespaces":
            inside = [each for each in self.objects if each[2] == key[3]]
            if inside:
                return self._delete_all(inside)
        if key[1] == "customresourcedefinitions":
            names = (obj["spec"]["group"], obj["spec"]["names"]["plural"])
            inside = [each for each in self.objects if each[:2] == names]
            if inside:
                return self._delete_all(inside)
            for served in [each for each in self.resources if (each[0], each[2]) == names]:
                del self.resources[served]
        self._store(key, obj, "DELETED")
        return True

    def _delete_all(self, keys: list[Key]) -> bool:
        """Mark them as deleted; says whether anything came of it."""
        begun = [key for key in keys if "deletionTimestamp" not in self.objects[key]["metadata"]]
        for key in begun:
            obj = self.objects[key]
            self._store(key, {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": now()}}, "MODIFIED")
        return bool(begun)

    def _dependents(self, uid: str) -> Iterator[tuple[Key, Obj]]:
        for key, obj in self.objects.items():
            if any(owner["uid"] == uid for owner in obj["metadata"].get("ownerReferences") or []):
                yield key, obj

    def _begin(self, resource: Resource, obj: Obj, namespace: str) -> None:
        """What every new object has."""
        metadata = obj["metadata"]
        if resource.namespaced:
            metadata["namespace"] = namespace
            home = self.objects.get(("", "namespaces", "", namespace))
            if home is None:
                raise answers.not_found(self.of("Namespace"), namespace)
            if "deletionTimestamp" in home["metadata"]:
                raise answers.terminating(resource, metadata.get("name", ""), namespace)
        else:
            metadata.pop("namespace", None)
        if not metadata.get("name"):
            raise answers.invalid(
                resource, "", [{"reason": "FieldValueRequired", "message": "Required", "field": "metadata.name"}]
            )
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        for name in ("resourceVersion", "managedFields", "deletionTimestamp"):
            metadata.pop(name, None)
        metadata["uid"], metadata["creationTimestamp"], metadata["generation"] = str(uuid.uuid4()), now(), 1

    def _limited(self, resource: Resource, new: Obj, old: Obj, how: How) -> Obj:
        """Only what the endpoint may change: everything but the status, or nothing but it."""
        new["apiVersion"], new["kind"] = resource.api_version, resource.kind
        if how.subresource == "status":
            return {**old, "status": new.get("status"), "metadata": dict(old["metadata"])}
        if resource.status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        for name in _KEPT:
            new["metadata"].pop(name, None)
            if name in old["metadata"]:
                new["metadata"][name] = old["metadata"][name]
        if resource.kind == "Service" and "clusterIP" in old.get("spec", {}):
            for name in ("clusterIP", "clusterIPs"):
                new["spec"].setdefault(name, old["spec"].get(name))
        return new

    def _write(self, resource: Resource, new: Obj, old: Obj | None, managed: Managed, how: How) -> Obj:
        """Fill in, check, count up, store, and let the controllers see it; nothing is stored that is as it was."""
        address = f"10.96.0.{next(self._addresses) if resource.kind == 'Service' and old is None else 0}"
        fill_in(resource, new, address)
        name = new["metadata"]["name"]
        if not how.subresource and (causes := wrong_with(resource, new, old)):
            raise answers.invalid(resource, name, causes)
        new["metadata"]["managedFields"] = managed.encoded(now())
        key = self.key(resource, new["metadata"].get("namespace", ""), name)
        if old is not None:
            new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
            if _content(new) != _content(old):
                new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
            if new == old:
                return old
        if how.dry_run:
            return new
        self._store(key, new, "ADDED" if old is None else "MODIFIED")
        for react in self.reacts:
            react(resource, self.objects[key])
        self.settle()
        return self.objects.get(key, new)

    def _store(self, key: Key, obj: Obj, type_: str) -> None:
        with self.changed:
            self.version += 1
            obj = copy.deepcopy(obj)
            obj["metadata"]["resourceVersion"] = str(self.version)
            if type_ == "DELETED":
                del self.objects[key]
            else:
                self.objects[key] = obj
            self.changes.append(Change(self.version, type_, key, obj))
            self.changed.notify_all()


def _content(obj: Obj) -> Obj:
    return {name: value for name, value in obj.items() if name not in ("metadata", "status", "apiVersion", "kind")}
