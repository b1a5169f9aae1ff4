"""What the API server fills in, and the few things that it refuses: enough for clients to meet both."""

import base64
import copy
from typing import Any

from fake_kubernetes.kinds import Resource

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet")


def fill_in(resource: Resource, obj: dict[str, Any], address: str) -> None:
    """Defaults, as the API reference gives them. `address` is the next free one, for Services."""
    spec = obj.setdefault("spec", {}) if resource.kind in (*_WORKLOADS, "Service", "Namespace") else obj.get("spec")
    match resource.kind:
        case "Deployment":
            spec.setdefault("replicas", 1)
            spec.setdefault("revisionHistoryLimit", 10)
            spec.setdefault("progressDeadlineSeconds", 600)
            rolling = {"maxSurge": "25%", "maxUnavailable": "25%"}
            spec.setdefault("strategy", {"type": "RollingUpdate", "rollingUpdate": rolling})
        case "StatefulSet":
            spec.setdefault("replicas", 1)
            spec.setdefault("podManagementPolicy", "OrderedReady")
            spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
        case "DaemonSet":
            spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}})
        case "Job":
            for name, value in (("parallelism", 1), ("completions", 1), ("backoffLimit", 6), ("suspend", False)):
                spec.setdefault(name, value)
            labels = {"batch.kubernetes.io/controller-uid": obj["metadata"]["uid"]}
            spec.setdefault("selector", {"matchLabels": labels})
            spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {}).update(labels)
        case "Service":
            spec.setdefault("type", "ClusterIP")
            spec.setdefault("sessionAffinity", "None")
            if spec["type"] != "ExternalName":
                spec.setdefault("clusterIP", address)
                spec.setdefault("clusterIPs", [spec["clusterIP"]])
            for port in spec.get("ports") or []:
                port.setdefault("protocol", "TCP")
                port.setdefault("targetPort", port["port"])
        case "Secret":
            obj.setdefault("type", "Opaque")
            for name, text in (obj.pop("stringData", None) or {}).items():
                obj.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
        case "Namespace":
            spec.setdefault("finalizers", ["kubernetes"])
            obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
            obj.setdefault("status", {"phase": "Active"})
        case "PersistentVolumeClaim" if spec is not None:
            spec.setdefault("volumeMode", "Filesystem")
        case "CustomResourceDefinition" if spec is not None:
            spec.setdefault("conversion", {"strategy": "None"})
            spec.get("names", {}).setdefault("listKind", spec.get("names", {}).get("kind", "") + "List")
    if resource.kind in _WORKLOADS:
        _fill_in_pod(spec.get("template", {}).setdefault("spec", {}))
    elif resource.kind == "Pod" and spec is not None:
        _fill_in_pod(spec)


def _fill_in_pod(spec: dict[str, Any]) -> None:
    for name, value in (("restartPolicy", "Always"), ("dnsPolicy", "ClusterFirst"), ("terminationGracePeriodSeconds", 30)):
        spec.setdefault(name, value)
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("resources", {})
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")


Cause = dict[str, str]
_STATEFUL = ("replicas", "template", "updateStrategy", "minReadySeconds", "ordinals", "revisionHistoryLimit")


def wrong_with(resource: Resource, new: dict[str, Any], old: dict[str, Any] | None) -> list[Cause]:
    """What a 422 names: required fields, and fields that can't change."""
    found = list(_missing(resource, new))
    if old is None or resource.custom:
        return found
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    match resource.kind:
        case "Deployment" | "DaemonSet" | "ReplicaSet" if spec.get("selector") != before.get("selector"):
            found.append(_immutable("spec.selector"))
        case "Job":
            for name in ("selector", "template", "completionMode"):
                if _plain(spec.get(name)) != _plain(before.get(name)):
                    found.append(_immutable(f"spec.{name}"))
        case "StatefulSet":
            if {k: v for k, v in spec.items() if k not in _STATEFUL} != {k: v for k, v in before.items() if k not in _STATEFUL}:
                text = "updates to statefulset spec for fields other than " + ", ".join(map(repr, _STATEFUL)) + " are forbidden"
                found.append({"reason": "FieldValueForbidden", "message": f"Forbidden: {text}", "field": "spec"})
        case "Service" if before.get("clusterIP") and spec.get("clusterIP") != before["clusterIP"]:
            found.append(_immutable("spec.clusterIP"))
        case "PersistentVolumeClaim" if _without(spec, "resources") != _without(before, "resources", "volumeName"):
            text = "Forbidden: spec is immutable after creation except resources.requests"
            found.append({"reason": "FieldValueForbidden", "message": text, "field": "spec"})
        case "RoleBinding" | "ClusterRoleBinding" if new.get("roleRef") != old.get("roleRef"):
            found.append(_immutable("roleRef", "cannot change roleRef"))
        case "ConfigMap" | "Secret" if old.get("immutable") and new.get("data") != old.get("data"):
            text = "Forbidden: field is immutable when `immutable` is set"
            found.append({"reason": "FieldValueForbidden", "message": text, "field": "data"})
    return found


def _plain(value: Any) -> Any:
    """A pod template without the labels that a Job's controller adds."""
    value = copy.deepcopy(value)
    if isinstance(value, dict) and isinstance(value.get("metadata"), dict):
        value["metadata"].get("labels", {}).pop("batch.kubernetes.io/controller-uid", None)
    return value


def _without(spec: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name not in (*names, "volumeName")}


def _immutable(field: str, text: str = "field is immutable") -> Cause:
    return {"reason": "FieldValueInvalid", "message": f"Invalid value: {text}", "field": field}


def _required(field: str) -> Cause:
    return {"reason": "FieldValueRequired", "message": "Required value", "field": field}


def _missing(resource: Resource, obj: dict[str, Any]) -> "list[Cause]":
    found: list[Cause] = []
    spec = obj.get("spec") or {}
    if not isinstance(spec.get("replicas", 1), int):
        found.append(
            {"reason": "FieldValueTypeInvalid", "message": "Invalid value: must be an integer", "field": "spec.replicas"}
        )
    template = spec if resource.kind == "Pod" else (spec.get("template") or {}).get("spec") or {}
    if resource.kind in (*_WORKLOADS, "Pod"):
        at = "spec" if resource.kind == "Pod" else "spec.template.spec"
        if not template.get("containers"):
            found.append(_required(f"{at}.containers"))
        for index, container in enumerate(template.get("containers") or []):
            found += [_required(f"{at}.containers[{index}].{name}") for name in ("name", "image") if not container.get(name)]
    if resource.kind in ("Deployment", "StatefulSet", "DaemonSet"):
        wanted = (spec.get("selector") or {}).get("matchLabels") or {}
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
        if not wanted:
            found.append(_required("spec.selector"))
        elif any(labels.get(name) != value for name, value in wanted.items()):
            text = "Invalid value: `selector` does not match template `labels`"
            found.append({"reason": "FieldValueInvalid", "message": text, "field": "spec.template.metadata.labels"})
    if resource.kind == "Service" and spec.get("type") != "ExternalName" and not spec.get("ports"):
        found.append(_required("spec.ports"))
    if resource.schema:
        properties = resource.schema.get("properties", {}).get("spec", {})
        found += [_required(f"spec.{name}") for name in properties.get("required", []) if name not in spec]
    return found
