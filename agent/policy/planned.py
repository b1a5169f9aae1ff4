"""What a plan would do, object by object, in one form for every kind of component: what the customer's rules look at."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from agent.failure import CodedError
from api.contract.base import Json, Model
from api.contract.components import ComponentKind

Action = Literal["create", "update", "replace", "delete", "forget", "import", "move", "invoke"]
"""`forget`: taken out of the state, but left as it is. `invoke`: an action of a provider (Terraform 1.14) is run."""

ACTIONS: tuple[Action, ...] = get_args(Action)

_FROM_TERRAFORM: dict[tuple[str, ...], Action | None] = {
    ("no-op",): None,
    ("read",): None,
    ("create",): "create",
    ("update",): "update",
    ("delete",): "delete",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("forget",): "forget",
    ("create", "forget"): "replace",
}


class PlanUnreadableError(CodedError):
    """A plan that says something that the rules don't know. What can't be judged isn't applied."""

    code = "plan_unreadable"
    remedy = "Update the agent, or use an engine that it knows."


class PlannedObject(Model):
    """One object that a plan touches. It never leaves the agent: `before` and `after` have values, secret ones too.

    `type` is Terraform's resource type (`aws_iam_role`) or the kind of a Kubernetes object (`ClusterRole`). `unknown` is shaped
    like `after`, and true where a value will be known only once it is applied.
    """

    address: str
    type: str
    action: Action
    namespace: str = ""
    before: Json = None
    after: Json = None
    unknown: Json = None


class PlannedObjects(Model):
    """All objects that a plan touches, as they are kept beside it until it is applied."""

    objects: tuple[PlannedObject, ...] = ()


def from_terraform(document: Mapping[str, Any]) -> PlannedObjects:
    """The objects of `show -json <plan>`, data sources left out. Raises PlanUnreadableError."""
    changes = [change for change in document.get("resource_changes") or [] if change.get("mode") != "data"]
    found = [planned for change in changes if (planned := _planned(change))]
    invoked = [
        PlannedObject(address=each["address"], type=each.get("type", ""), action="invoke", after=each.get("config_values"))
        for each in document.get("action_invocations") or []
    ]
    return PlannedObjects(objects=(*found, *invoked))


def whole(component: str, kind: ComponentKind, action: Action) -> PlannedObjects:
    """The one object of a component that is changed as a whole. Its type is the component's kind."""
    return PlannedObjects(objects=(PlannedObject(address=component, type=kind, action=action),))


def kubernetes_object(
    kind: str, namespace: str, name: str, action: Action, *, before: Json = None, after: Json = None
) -> PlannedObject:
    """An object of a cluster; `before` and `after` are its whole manifests, or None."""
    address = f"{kind}/{namespace}/{name}" if namespace else f"{kind}/{name}"
    return PlannedObject(address=address, type=kind, action=action, namespace=namespace, before=before, after=after)


def _planned(resource: Mapping[str, Any]) -> PlannedObject | None:
    change = resource["change"]
    actions = tuple(change["actions"])
    if actions not in _FROM_TERRAFORM:
        raise PlanUnreadableError(
            f"the plan would do {'/'.join(actions)!r} to {resource['address']}, which the agent doesn't know"
        )
    action = _FROM_TERRAFORM[actions]
    if action is None and change.get("importing"):
        action = "import"
    elif action is None and resource.get("previous_address"):
        action = "move"
    if action is None:
        return None
    return PlannedObject(
        address=resource["address"],
        type=resource["type"],
        action=action,
        before=change.get("before"),
        after=change.get("after"),
        unknown=change.get("after_unknown"),
    )
