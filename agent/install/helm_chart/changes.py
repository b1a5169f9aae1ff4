"""What a release would change, object by object, by the names of the fields: values stay here."""

from collections.abc import Iterator, Mapping

from agent.install.helm_chart.live import Live
from agent.install.helm_chart.rendering import kept
from agent.kubernetes.objects import Obj, Ref
from api.contract.base import Json
from api.contract.resources import PlannedChange, PlanSummary

HOOK = " (hook)"
"""How the address of a hook ends."""

_MOST_FIELDS = 50
_SERVERS = ("status",)
_SERVERS_METADATA = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
"""What the API server or a controller writes, and no chart decides."""


def summarize(before: Mapping[Ref, Obj], after: Mapping[Ref, Obj], live: Mapping[Ref, Live]) -> list[PlannedChange]:
    """What an apply would do to the objects of a release. `live` has every object of both."""
    old = {ref.identity: obj for ref, obj in before.items()}
    new = {ref.identity for ref in after}
    changes = [_change(ref, old.get(ref.identity), after[ref], live[ref]) for ref in sorted(after)]
    gone = [ref for ref in sorted(before) if ref.identity not in new and live[ref].now is not None and not kept(before[ref])]
    return [*filter(None, changes), *(PlannedChange(address=str(ref), actions=["delete"]) for ref in gone)]


def of_hooks(before: Mapping[Ref, Obj], after: Mapping[Ref, Obj]) -> Iterator[PlannedChange]:
    """Hooks run at every apply, but that alone makes no apply: only one that is new or has changed does."""
    for ref in sorted(after):
        fields = sorted(differences(before[ref], after[ref])) if ref in before else []
        if fields or ref not in before:
            action = "update" if ref in before else "create"
            yield PlannedChange(address=f"{ref}{HOOK}", actions=[action], attributes=fields[:_MOST_FIELDS])


def count(changes: list[PlannedChange]) -> PlanSummary:
    """A summary of changes."""
    actions = [each.actions for each in changes]
    return PlanSummary(
        add=sum("create" in each for each in actions),
        change=sum("update" in each for each in actions),
        destroy=sum("delete" in each for each in actions),
        resources=changes,
    )


def _change(ref: Ref, old: Obj | None, new: Obj, live: Live) -> PlannedChange | None:
    if live.now is None:
        return PlannedChange(address=str(ref), actions=["create"])
    fields = set(differences(_comparable(live.now), _comparable(live.then))) if live.then is not None else set()
    if old is not None:
        # Also what the release no longer says, which the server keeps in mind for nobody.
        fields |= set(differences(_comparable(old), _comparable(new)))
    if not fields:
        return None
    return PlannedChange(address=str(ref), actions=["update"], attributes=sorted(fields)[:_MOST_FIELDS])


def _comparable(obj: Obj) -> Obj:
    metadata = {name: value for name, value in obj.get("metadata", {}).items() if name not in _SERVERS_METADATA}
    return {name: value for name, value in obj.items() if name not in _SERVERS} | {"metadata": metadata}


def differences(before: Json, after: Json, path: str = "") -> Iterator[str]:
    """The paths of what differs. The items of a list that have names go by these: `spec.containers[web].image`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            inner = f"{path}.{name}" if path else name
            if name not in before or name not in after:
                if not _says_nothing(before.get(name)) or not _says_nothing(after.get(name)):
                    yield inner
            else:
                yield from differences(before[name], after[name], inner)
    elif isinstance(before, list) and isinstance(after, list):
        old, new = _named(before), _named(after)
        if old is not None and new is not None:
            yield from _of_items(old, new, path)
        elif len(before) != len(after):
            yield path
        else:
            for at, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from differences(one, other, f"{path}[{at}]")
    elif before != after:
        yield path


def _says_nothing(value: Json) -> bool:
    """Null, an empty list and an empty map say as much as a field that isn't there."""
    return value is None or value == [] or value == {}


def _of_items(old: Mapping[str, Json], new: Mapping[str, Json], path: str) -> Iterator[str]:
    for name in old.keys() | new.keys():
        if name in old and name in new:
            yield from differences(old[name], new[name], f"{path}[{name}]")
        else:
            yield f"{path}[{name}]"


def _named(items: list[Json]) -> dict[str, Json] | None:
    """The items by their names, if each has one of its own."""
    named = {str(item["name"]): item for item in items if isinstance(item, dict) and "name" in item}
    return named if len(named) == len(items) else None
