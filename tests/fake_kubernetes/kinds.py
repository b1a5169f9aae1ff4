"""The resources that the server has, and how each field of theirs merges (API reference: "patch strategy", "listType")."""

from dataclasses import dataclass, field
from typing import Any

ATOMIC = "atomic"
GRANULAR = "granular"
SET = "set"
Merging = str | tuple[str, ...]
"""`atomic`, `granular`, `set`, or the keys by which the items of a list are told apart."""


@dataclass(frozen=True)
class Resource:
    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    status: bool = False
    schema: dict[str, Any] | None = field(default=None, hash=False, compare=False)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> tuple[str, str]:
        return self.group, self.plural

    @property
    def qualified(self) -> str:
        """As errors name it: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def custom(self) -> bool:
        return self.schema is not None

    def merging(self, names: tuple[str, ...], value: Any) -> Merging:
        """How the value at the path `names` (without indices) merges."""
        return _custom_merging(self.schema, names, value) if self.schema is not None else _merging(names, value)


_TABLE = """
/v1 namespaces Namespace cluster,status ns
/v1 nodes Node cluster,status no
/v1 persistentvolumes PersistentVolume cluster,status pv
/v1 pods Pod status po
/v1 services Service status svc
/v1 configmaps ConfigMap - cm
/v1 secrets Secret -
/v1 serviceaccounts ServiceAccount - sa
/v1 persistentvolumeclaims PersistentVolumeClaim status pvc
/v1 events Event - ev
/v1 endpoints Endpoints - ep
/v1 resourcequotas ResourceQuota status quota
/v1 limitranges LimitRange - limits
/v1 replicationcontrollers ReplicationController status rc
apps/v1 deployments Deployment status deploy
apps/v1 statefulsets StatefulSet status sts
apps/v1 daemonsets DaemonSet status ds
apps/v1 replicasets ReplicaSet status rs
apps/v1 controllerrevisions ControllerRevision -
batch/v1 jobs Job status
batch/v1 cronjobs CronJob status cj
rbac.authorization.k8s.io/v1 roles Role -
rbac.authorization.k8s.io/v1 rolebindings RoleBinding -
rbac.authorization.k8s.io/v1 clusterroles ClusterRole cluster
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding cluster
networking.k8s.io/v1 ingresses Ingress status ing
networking.k8s.io/v1 networkpolicies NetworkPolicy - netpol
networking.k8s.io/v1 ingressclasses IngressClass cluster
policy/v1 poddisruptionbudgets PodDisruptionBudget status pdb
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler status hpa
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition cluster,status crd
admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration cluster
admissionregistration.k8s.io/v1 mutatingwebhookconfigurations MutatingWebhookConfiguration cluster
storage.k8s.io/v1 storageclasses StorageClass cluster sc
scheduling.k8s.io/v1 priorityclasses PriorityClass cluster pc
coordination.k8s.io/v1 leases Lease -
discovery.k8s.io/v1 endpointslices EndpointSlice -
"""


def built_in() -> list[Resource]:
    found = []
    for line in _TABLE.split("\n"):
        if line:
            api, plural, kind, flags, *short = line.split()
            group, _, version = api.rpartition("/")
            found.append(Resource(group, version, plural, kind, "cluster" not in flags, tuple(short), "status" in flags))
    return found


_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_LISTS: dict[str, Merging] = {
    **dict.fromkeys(_CONTAINERS, ("name",)),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "hostAliases": ("ip",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "webhooks": ("name",),
    "finalizers": SET,
}
_ATOMIC_MAPS = frozenset(
    {
        "selector",
        "nodeSelector",
        "labelSelector",
        "namespaceSelector",
        "podSelector",
        "configMapKeyRef",
        "secretKeyRef",
        "fieldRef",
        "resourceFieldRef",
        "roleRef",
        "claimRef",
        "targetRef",
    }
)


def _merging(names: tuple[str, ...], value: Any) -> Merging:
    name = names[-1] if names else ""
    if isinstance(value, dict):
        # A custom resource definition's versions and schemas are lists and maps of their own, which one manager has.
        return ATOMIC if name in _ATOMIC_MAPS else GRANULAR
    if name == "ports":
        if len(names) > 1 and names[-2] in _CONTAINERS:
            return "containerPort", "protocol"
        return ("port", "protocol") if names == ("spec", "ports") else ATOMIC
    return _LISTS.get(name, ATOMIC)


def _custom_merging(schema: dict[str, Any], names: tuple[str, ...], value: Any) -> Merging:
    if names and names[0] == "metadata":
        return _merging(names, value)
    at: dict[str, Any] = schema
    for name in names:
        while "items" in at and "properties" not in at:
            at = at["items"]
        more = at.get("additionalProperties")
        at = at.get("properties", {}).get(name) or (more if isinstance(more, dict) else {})
    if isinstance(value, dict):
        return ATOMIC if at.get("x-kubernetes-map-type") == "atomic" else GRANULAR
    match at.get("x-kubernetes-list-type"):
        case "map":
            return tuple(at["x-kubernetes-list-map-keys"])
        case "set":
            return SET
    return ATOMIC
