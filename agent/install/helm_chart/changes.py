"""What a release would change, object by object: by the names of the fields for the plan, whole for the customer's rules."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.install.helm_chart.live import Live
from agent.install.helm_chart.rendering import events_of, kept
from agent.install.kubernetes_manifest.fields import differences
from agent.kubernetes.objects import Obj, Ref
from agent.policy.planned import Action, PlannedObject, kubernetes_object
from api.contract.resources import PlannedChange, PlanSummary

_MOST_FIELDS = 50


@dataclass(frozen=True)
class Change:
    """What would happen to one object, with what it is and what it would be. `fields` are the names of those that change."""

    ref: Ref
    action: Action
    before: Obj | None = None
    after: Obj | None = None
    fields: tuple[str, ...] = ()
    hook: bool = False

    @property
    def shown(self) -> PlannedChange:
        """What the plan says of it."""
        where = f"{self.ref} (hook)" if self.hook else str(self.ref)
        return PlannedChange(address=where, actions=[self.action], attributes=list(self.fields[:_MOST_FIELDS]))

    @property
    def judged(self) -> PlannedObject:
        """What the customer's rules see of it."""
        ref = self.ref
        return kubernetes_object(ref.kind, ref.namespace, ref.name, self.action, before=self.before, after=self.after)


def of_objects(before: Mapping[Ref, Obj], after: Mapping[Ref, Obj], live: Mapping[Ref, Live]) -> Iterator[Change]:
    """What an apply would do to the objects of a release. `live` has every object of both."""
    old = {ref.identity: obj for ref, obj in before.items()}
    for ref in sorted(after):
        now, then = live[ref].now, live[ref].then
        if now is None:
            yield Change(ref, "create", after=after[ref])
            continue
        fields = set(differences(now, then)) if then is not None else set()
        if ref.identity in old:
            # Also what the release no longer says, which the server keeps in mind for nobody.
            fields |= set(differences(old[ref.identity], after[ref]))
        if fields:
            yield Change(ref, "update", now, then or after[ref], tuple(sorted(fields)))
    staying = {ref.identity for ref in after}
    yield from removed({ref: obj for ref, obj in before.items() if ref.identity not in staying}, live)


def removed(objects: Mapping[Ref, Obj], live: Mapping[Ref, Live]) -> Iterator[Change]:
    """What happens to objects that a release lets go: those that the chart says are to be kept are only forgotten."""
    for ref in sorted(objects):
        if live[ref].now is not None:
            yield Change(ref, "forget" if kept(objects[ref]) else "delete", live[ref].now)


def of_hooks(before: Mapping[Ref, Obj], after: Mapping[Ref, Obj]) -> Iterator[Change]:
    """Hooks run at every apply, but that alone makes no apply: only one that is new or has changed does."""
    for ref in sorted(after):
        if ref not in before:
            yield Change(ref, "create", after=after[ref], hook=True)
        elif fields := differences(before[ref], after[ref]):
            yield Change(ref, "update", before[ref], after[ref], tuple(fields), hook=True)


def run_with(hooks: Mapping[Ref, Obj], events: Iterable[str]) -> Iterator[Change]:
    """The hooks that helm makes on one of these events, whether or not they have changed."""
    wanted = frozenset(events)
    return (Change(ref, "create", after=hooks[ref], hook=True) for ref in sorted(hooks) if wanted & events_of(hooks[ref]))


def count(changes: Iterable[Change]) -> PlanSummary:
    """A summary of changes."""
    found = list(changes)
    actions = [each.action for each in found]
    return PlanSummary(
        add=actions.count("create"),
        change=len(actions) - actions.count("create") - actions.count("delete"),
        destroy=actions.count("delete"),
        resources=[each.shown for each in found],
    )
