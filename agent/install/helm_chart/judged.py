"""What the customer's rules judge of a release: the objects that a plan touches, whole."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from agent.install.helm_chart.changes import HOOK
from agent.install.helm_chart.live import Live
from agent.kubernetes.objects import Obj, Ref
from agent.policy.planned import Action, PlannedObject, PlannedObjects, kubernetes_object
from api.contract.resources import PlannedChange

_ACTIONS: dict[str, Action] = {"create": "create", "update": "update", "delete": "delete"}


def objects_of(
    planned: Sequence[PlannedChange],
    after: Mapping[Ref, Obj],
    live: Mapping[Ref, Live],
    ran: Mapping[Ref, Obj],
    runs: Mapping[Ref, Obj],
) -> PlannedObjects:
    """The objects that the changes name. `ran` and `runs` are the hooks, of the release before and of the new one."""
    own, hooks = _by_address({*after, *live}), _by_address({*ran, *runs})
    found: list[PlannedObject] = []
    for change in planned:
        action = _ACTIONS[change.actions[0]]
        if change.address.endswith(HOOK):
            refs = hooks[change.address.removesuffix(HOOK)]
            found += [_object(ref, action, ran.get(ref), runs.get(ref)) for ref in refs]
        else:
            refs = own[change.address]
            found += [_object(ref, action, live[ref].now if ref in live else None, after.get(ref)) for ref in refs]
    return PlannedObjects(objects=tuple(found))


def _by_address(refs: Iterable[Ref]) -> Mapping[str, list[Ref]]:
    """More than one has an address, where two groups of the API have a kind of one name."""
    found: defaultdict[str, list[Ref]] = defaultdict(list)
    for ref in sorted(refs):
        found[str(ref)].append(ref)
    return found


def _object(ref: Ref, action: Action, before: Obj | None, after: Obj | None) -> PlannedObject:
    gone = action == "delete"
    return kubernetes_object(ref.kind, ref.namespace, ref.name, action, before=before, after=None if gone else after)
