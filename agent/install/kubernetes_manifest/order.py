"""In which order objects are applied: what others need comes first. They are removed the other way round."""

from agent.kubernetes.objects import Ref

_KINDS = (
    "Namespace",
    "CustomResourceDefinition",
    "PriorityClass",
    "StorageClass",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Secret",
    "ConfigMap",
    "NetworkPolicy",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Service",
    "PodDisruptionBudget",
    "Pod",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "HorizontalPodAutoscaler",
    "IngressClass",
    "Ingress",
    "APIService",
)
_RANKS = {kind: rank for rank, kind in enumerate(_KINDS)}
_CUSTOM = len(_KINDS)
_LAST = _CUSTOM + 1

DEFINITIONS = ("Namespace", "CustomResourceDefinition")
"""What has to be there before anything else can even be asked about."""


def rank(ref: Ref) -> int:
    """Smaller comes first.

    Custom resources come after the programs that look after them; webhooks, which could refuse all else, after everything.
    """
    if ref.kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        return _LAST
    return _RANKS.get(ref.kind, _CUSTOM)
