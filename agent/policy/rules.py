"""Whether a rule holds of what a plan would do. Pure; what isn't known yet counts as what the rule is about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from agent.policy.document import Changing, Condition, Effect, Rule
from agent.policy.planned import PlannedObject
from api.contract.base import Json
from api.contract.components import ComponentKind


@dataclass(frozen=True)
class Subject:
    """What is judged: an operation on one component."""

    operation: Changing
    component: str
    kind: ComponentKind


@dataclass(frozen=True)
class Finding:
    """A rule that holds, with the addresses of the objects of which it does: no values."""

    rule: str
    effect: Effect
    message: str
    addresses: tuple[str, ...]


def find(rules: Sequence[Rule], subject: Subject, objects: Sequence[PlannedObject]) -> list[Finding]:
    """The rules that hold of the plan, in their order."""
    found: list[Finding] = []
    for rule in rules:
        if not concerns(rule, subject):
            continue
        parts = _ready_made(rule.use) if rule.use else (rule,)
        addresses = tuple(each.address for each in objects if any(_matches(part, each) for part in parts))
        if addresses:
            found.append(Finding(rule.name or str(rule.use), rule.effect, rule.message, addresses))
    return found


def _ready_made(name: str) -> Sequence[Rule]:
    from agent.policy.rule_sets import RULE_SETS  # most policies have none of them

    return RULE_SETS[name]


def any_like(text: str, globs: Sequence[str]) -> bool:
    """Whether one of the globs fits the whole text, in which upper and lower case differ."""
    return any(fnmatchcase(text, glob) for glob in globs)


def concerns(rule: Rule, subject: Subject) -> bool:
    """Whether the rule is about plans of this subject."""
    return (
        subject.operation in rule.operations
        and any_like(subject.component, rule.components)
        and (rule.kinds is None or subject.kind in rule.kinds)
    )


def _matches(rule: Rule, planned: PlannedObject) -> bool:
    return (
        any_like(planned.type, rule.types)
        and (rule.actions is None or planned.action in rule.actions)
        and any_like(planned.namespace, rule.namespaces)
        and any_like(planned.address, rule.addresses)
        and all(_holds(condition, planned) for condition in rule.where)
    )


def _holds(condition: Condition, planned: PlannedObject) -> bool:
    path = condition.attribute.split(".")
    before, after = list(_values(planned.before, path)), list(_values(planned.after, path))
    if _unknown(planned.unknown, path):
        return True
    if condition.changes:
        return before != after
    return any(_passes(condition, value) for value in (before if planned.after is None else after))


def _passes(condition: Condition, value: Json) -> bool:
    if condition.one_of is not None:
        return any(_same(value, each) for each in condition.one_of)
    if condition.like is not None:
        return isinstance(value, str) and fnmatchcase(value, condition.like)
    return _same(value, condition.equals)


def _same(one: Json, other: Json) -> bool:
    """Equal in JSON's sense, in which true isn't 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _values(value: Json, path: Sequence[str]) -> Iterator[Json]:
    """Every value at the path. Blocks that can stand only once are lists of one in some providers: then `*` is needed."""
    if not path:
        yield value
        return
    part, rest = path[0], path[1:]
    if part == "*":
        items = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
        for item in items:
            yield from _values(item, rest)
    elif isinstance(value, dict) and part in value:
        yield from _values(value[part], rest)
    elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
        yield from _values(value[int(part)], rest)


def _unknown(mask: Json, path: Sequence[str]) -> bool:
    """Whether the value at the path, or something around or in it, isn't known."""
    if mask is True:
        return True
    if not path:
        return bool(mask) and any(_unknown(each, ()) for each in (mask.values() if isinstance(mask, dict) else mask))
    part, rest = path[0], path[1:]
    if part == "*":
        items = mask if isinstance(mask, list) else mask.values() if isinstance(mask, dict) else ()
        return any(_unknown(item, rest) for item in items)
    if isinstance(mask, dict):
        return _unknown(mask.get(part), rest)
    return isinstance(mask, list) and part.isdigit() and int(part) < len(mask) and _unknown(mask[int(part)], rest)
