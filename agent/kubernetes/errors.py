"""How calls to a cluster fail, in words that say what to do. None repeats a value of an object."""

from agent.failure import CodedError


class NoClusterError(CodedError):
    """The agent has not been told of a cluster, or what it was told can't be used."""

    code = "no_cluster"
    remedy = "Start the agent with --kubeconfig, set KUBECONFIG, or run it in the cluster with a service account."


class ClusterUnreachableError(CodedError):
    """The API server doesn't answer, or not as one."""

    code = "cluster_unreachable"
    retryable = True
    remedy = "Check the address, the way there (proxy, firewall) and the certificate; `kubectl version` shows the same error."


class ClusterLoginError(CodedError):
    """The API server doesn't know who the agent is."""

    code = "cluster_login_refused"
    retryable = True
    remedy = "Renew the credentials in the kubeconfig, or the agent's service account."


class ClusterForbiddenError(CodedError):
    """The agent's identity may not do what a component needs. The remedy has the rule that is missing."""

    code = "cluster_forbidden"


class NamespaceMissingError(CodedError):
    """The namespace of an object doesn't exist."""

    code = "namespace_missing"
    remedy = "Create the namespace, or add it to the component's own objects; then deploy again."


class UnknownKindError(CodedError):
    """The cluster has no resource of this kind."""

    code = "unknown_kind"
    remedy = "Install what defines the kind first, or correct `apiVersion` and `kind`."


class FieldConflictError(CodedError):
    """Another field manager owns what the component sets."""

    code = "field_conflict"
    remedy = "Take the fields out of the component or out of the other's hands; or set `force_conflicts` to take them over."


class ImmutableFieldError(CodedError):
    """Kubernetes doesn't let the field be changed once the object exists."""

    code = "immutable_field"
    remedy = "Give the object another name, so that the old one is replaced by it; or delete the old one first."


class ObjectRefusedError(CodedError):
    """The API server doesn't take the object: validation, admission, quota."""

    code = "object_refused"
    remedy = "Correct the object."


class ObjectChangedError(CodedError):
    """The object isn't the one that was meant: it was changed, or deleted and made again."""

    code = "plan_stale"
    retryable = True
    remedy = "Deploy again: a new plan is needed."
