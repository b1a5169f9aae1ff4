"""The controllers of workloads, as far as others can see them: pods, statuses, events, custom resources."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fake_kubernetes.cluster import Cluster, How, now
from fake_kubernetes.kinds import Resource

Obj = dict[str, Any]
_MANAGER = "kube-controller-manager"


@dataclass(frozen=True)
class Behaviour:
    """How an object comes up: ready `after` seconds; with None never, its pods waiting for `reason`; or it `fails`."""

    after: float | None = 0
    reason: str = ""
    message: str = ""
    fails: bool = False


@dataclass
class Controllers:
    """`behaviours` are by kind and name, else by kind; all else is ready at once."""

    cluster: Cluster
    behaviours: dict[tuple[str, str], Behaviour] = field(default_factory=dict)
    _timers: list[threading.Timer] = field(default_factory=list)
    _at_work: bool = False

    def __post_init__(self) -> None:
        self._status: dict[str, Callable[[Obj, Behaviour, bool], Obj | None]] = {
            "Deployment": self._deployment,
            "StatefulSet": self._stateful_set,
            "DaemonSet": self._daemon_set,
            "Job": self._job,
            "Pod": self._pod,
            "PersistentVolumeClaim": lambda obj, how, ready: {"phase": "Bound" if ready else "Pending"},
            "Service": self._service,
            "Ingress": lambda obj, how, ready: {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]} if ready else {}},
            "CustomResourceDefinition": self._definition,
        }
        self.cluster.reacts.append(self._react)
        for name in self.cluster.names("Namespace"):
            self._account(name)

    def set(self, kind: str, name: str = "", **how: Any) -> None:
        """How objects come up that are written from now on."""
        self.behaviours[kind, name] = Behaviour(**how)

    def finish(self, kind: str, name: str, namespace: str = "default") -> None:
        """Let an object become ready now that did not by itself."""
        self.behaviours[kind, name] = Behaviour()
        with self.cluster.changed:
            resource = self.cluster.of(kind)
            self._bring(resource, self.cluster.read(resource, namespace, name), Behaviour())

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _react(self, resource: Resource, obj: Obj) -> None:
        if resource.kind == "Namespace" and "deletionTimestamp" not in obj["metadata"]:
            self._account(obj["metadata"]["name"])
        if resource.kind not in self._status or resource.custom or "deletionTimestamp" in obj["metadata"]:
            return
        seen = (obj.get("status") or {}).get("observedGeneration")
        if seen == obj["metadata"]["generation"] or (seen is None and obj.get("status")):
            return  # only what a new generation asks for
        name = obj["metadata"]["name"]
        how = self.behaviours.get((resource.kind, name)) or self.behaviours.get((resource.kind, ""), Behaviour())
        self._bring(resource, obj, how)

    def _bring(self, resource: Resource, obj: Obj, how: Behaviour) -> None:
        ready = how.after == 0 and not how.fails
        self._put(resource, obj, how, ready)
        if how.after:
            timer = threading.Timer(how.after, self._later, (resource, obj, how))
            timer.daemon = True
            self._timers.append(timer)
            timer.start()

    def _later(self, resource: Resource, obj: Obj, how: Behaviour) -> None:
        with self.cluster.changed:
            metadata = obj["metadata"]
            found = self.cluster.objects.get(self.cluster.key(resource, metadata.get("namespace", ""), metadata["name"]))
            if found and found["metadata"]["uid"] == metadata["uid"] and "deletionTimestamp" not in found["metadata"]:
                self._put(resource, found, how, not how.fails)

    def _put(self, resource: Resource, obj: Obj, how: Behaviour, ready: bool) -> None:
        status = self._status[resource.kind](obj, how, ready)
        if status is not None:
            metadata = obj["metadata"]
            self.cluster.set_status(resource.kind, metadata["name"], status, metadata.get("namespace", ""), _MANAGER)

    def _deployment(self, obj: Obj, how: Behaviour, ready: bool) -> Obj:
        wanted = obj["spec"]["replicas"]
        names = self._pods(obj, wanted, how, ready, replica_set=True)
        up = wanted if ready else 0
        done = "NewReplicaSetAvailable" if ready else "ProgressDeadlineExceeded" if how.fails else "ReplicaSetUpdated"
        conditions = [
            _condition("Available", ready, "MinimumReplicasAvailable" if ready else "MinimumReplicasUnavailable"),
            _condition("Progressing", not how.fails, done, f'ReplicaSet "{names}" is progressing.'),
        ]
        return {
            **_counts(obj, wanted, up),
            "availableReplicas": up,
            "unavailableReplicas": wanted - up,
            "conditions": conditions,
        }

    def _stateful_set(self, obj: Obj, how: Behaviour, ready: bool) -> Obj:
        wanted = obj["spec"]["replicas"]
        revision = self._pods(obj, wanted, how, ready, ordinal=True)
        up = wanted if ready else 0
        current = {"currentReplicas": up, "currentRevision": revision, "updateRevision": revision}
        return {**_counts(obj, wanted, up), **current, "availableReplicas": up}

    def _daemon_set(self, obj: Obj, how: Behaviour, ready: bool) -> Obj:
        self._pods(obj, 1, how, ready)
        return {
            "observedGeneration": obj["metadata"]["generation"],
            "currentNumberScheduled": 1,
            "desiredNumberScheduled": 1,
            "updatedNumberScheduled": 1,
            "numberMisscheduled": 0,
            "numberReady": int(ready),
            "numberAvailable": int(ready),
            "numberUnavailable": int(not ready),
        }

    def _job(self, obj: Obj, how: Behaviour, ready: bool) -> Obj:
        self._pods(obj, 1, how, ready, ends=True)
        if ready:
            conditions = [
                _condition("SuccessCriteriaMet", True, "CompletionsReached"),
                _condition("Complete", True, "CompletionsReached"),
            ]
            return {"startTime": now(), "completionTime": now(), "succeeded": 1, "ready": 0, "conditions": conditions}
        if how.fails:
            text = how.message or "Job has reached the specified backoff limit"
            return {
                "startTime": now(),
                "failed": 1,
                "conditions": [_condition("Failed", True, how.reason or "BackoffLimitExceeded", text)],
            }
        return {"startTime": now(), "active": 1}

    def _pod(self, obj: Obj, how: Behaviour, ready: bool) -> Obj | None:
        if any(owner.get("controller") for owner in obj["metadata"].get("ownerReferences") or []):
            return None
        ends = obj["spec"].get("restartPolicy") == "Never"
        return _pod_status(obj["spec"], how, ready, ends)

    def _service(self, obj: Obj, how: Behaviour, ready: bool) -> Obj:
        if obj["spec"].get("type") != "LoadBalancer" or not ready:
            return {"loadBalancer": {}}
        return {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}

    def _definition(self, obj: Obj, how: Behaviour, ready: bool) -> Obj:
        spec, names = obj["spec"], obj["spec"]["names"]
        if ready:
            for version in spec["versions"]:
                if version.get("served", True):
                    key = (spec["group"], version["name"], names["plural"])
                    self.cluster.resources[key] = Resource(
                        *key,
                        names["kind"],
                        spec["scope"] == "Namespaced",
                        tuple(names.get("shortNames", ())),
                        "status" in version.get("subresources", {}),
                        version.get("schema", {}).get("openAPIV3Schema", {}),
                    )
        conditions = [
            _condition("NamesAccepted", True, "NoConflicts"),
            _condition("Established", ready, "InitialNamesAccepted"),
        ]
        return {"conditions": conditions, "acceptedNames": names, "storedVersions": [spec["versions"][0]["name"]]}

    def _account(self, namespace: str) -> None:
        """The service account and the CA that every namespace gets."""
        with self.cluster.changed:
            for kind, name in (("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")):
                resource = self.cluster.of(kind)
                if self.cluster.key(resource, namespace, name) not in self.cluster.objects:
                    self.cluster.create(resource, {"metadata": {"name": name}}, namespace, How(_MANAGER))

    def _pods(
        self,
        obj: Obj,
        count: int,
        how: Behaviour,
        ready: bool,
        *,
        replica_set: bool = False,
        ordinal: bool = False,
        ends: bool = False,
    ) -> str:
        """Make the pods of the workload's template, instead of those of an earlier one; gives the template's name."""
        metadata, template = obj["metadata"], obj["spec"]["template"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
        revision = f"{metadata['name']}-{base64.b32encode(digest)[:8].decode().lower()}"
        owner = obj
        if replica_set:
            sets = self.cluster.of("ReplicaSet")
            self._forget(sets, obj, revision)
            spec = {"replicas": count, "selector": obj["spec"]["selector"], "template": template}
            owner = self._make(sets, obj, revision, {"spec": spec}, template)
            owner = self.cluster.replace(sets, {**owner, "spec": spec}, metadata["namespace"], revision, How(_MANAGER))
            counts = {**_counts(owner, count, count if ready else 0), "availableReplicas": count if ready else 0}
            self.cluster.set_status("ReplicaSet", revision, counts, metadata["namespace"], _MANAGER)
        pods = self.cluster.of("Pod")
        wanted = [f"{metadata['name']}-{i}" if ordinal else f"{revision}-{i}" for i in range(count)]
        self._forget(pods, owner, *wanted)
        for name in wanted:
            pod = self._make(pods, owner, name, {"spec": template["spec"]}, template)
            self.cluster.replace(pods, {**pod, "spec": template["spec"]}, metadata["namespace"], name, How(_MANAGER))
            self.cluster.set_status(
                "Pod", name, _pod_status(template["spec"], how, ready, ends), metadata["namespace"], "kubelet"
            )
            if how.reason:
                self._event(pod, how)
        return revision

    def _make(self, resource: Resource, owner: Obj, name: str, rest: Obj, template: Obj) -> Obj:
        namespace = owner["metadata"]["namespace"]
        found = self.cluster.objects.get(self.cluster.key(resource, namespace, name))
        if found is not None:
            return found
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
        reference |= {"uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}
        labels = (template.get("metadata") or {}).get("labels") or {}
        metadata = {"name": name, "labels": labels, "ownerReferences": [reference]}
        return self.cluster.create(resource, {"metadata": metadata, **rest}, namespace, How(_MANAGER))

    def _forget(self, resource: Resource, owner: Obj, *keep: str) -> None:
        namespace, uid = owner["metadata"]["namespace"], owner["metadata"]["uid"]
        for obj in self.cluster.listed(resource, namespace):
            owned = any(each["uid"] == uid for each in obj["metadata"].get("ownerReferences") or [])
            if owned and obj["metadata"]["name"] not in keep:
                self.cluster.delete(resource, namespace, obj["metadata"]["name"], {}, How(_MANAGER))

    def _event(self, pod: Obj, how: Behaviour) -> None:
        metadata = pod["metadata"]
        event = {
            "metadata": {"generateName": f"{metadata['name']}."},
            "involvedObject": {
                "kind": "Pod",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "type": "Warning",
            "reason": "Failed",
            "message": how.message or how.reason,
            "lastTimestamp": now(),
        }
        self.cluster.create(self.cluster.of("Event"), event, metadata["namespace"], How("kubelet"))


def _condition(kind: str, true: bool, reason: str, message: str = "") -> Obj:
    return {"type": kind, "status": str(true), "reason": reason, "message": message, "lastTransitionTime": now()}


def _counts(obj: Obj, wanted: int, up: int) -> Obj:
    return {
        "observedGeneration": obj["metadata"]["generation"],
        "replicas": wanted,
        "updatedReplicas": wanted,
        "readyReplicas": up,
    }


def _pod_status(spec: Obj, how: Behaviour, ready: bool, ends: bool) -> Obj:
    containers = spec.get("containers", [])
    if ready and ends:
        phase, state = "Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}}
    elif ready:
        phase, state = "Running", {"running": {"startedAt": now()}}
    elif how.fails and ends:
        phase, state = "Failed", {"terminated": {"exitCode": 1, "reason": "Error", "message": how.message}}
    else:
        phase, state = "Pending", {"waiting": {"reason": how.reason or "ContainerCreating", "message": how.message}}
    conditions = [_condition("PodScheduled", True, "")]
    conditions += [
        _condition(each, ready and not ends, "" if ready else "ContainersNotReady") for each in ("ContainersReady", "Ready")
    ]
    statuses = [{"name": c["name"], "image": c["image"], "ready": ready, "restartCount": 0, "state": state} for c in containers]
    return {"phase": phase, "conditions": conditions, "containerStatuses": statuses}
