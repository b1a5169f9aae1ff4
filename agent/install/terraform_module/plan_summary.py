"""What may be said of a plan: counts, addresses, names of attributes, and values if asked for. And what in it is secret."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from api.contract.base import Json
from api.contract.resources import PlannedChange, PlanSummary, ValueChange

_QUIET = (["no-op"], ["read"])
_LONGEST_VALUE = 200


def summarize(plan: Mapping[str, Any], *, outputs_known: Mapping[str, Json] | None, values: bool = False) -> PlanSummary:
    """The summary of `show -json <plan>`, with `values` of attributes if they are wanted (see `ValueChange`).

    `outputs_known` are the outputs as the agent has stored them. Where they aren't those of the state, an earlier apply was cut
    off before they were read; the plan then counts as one that changes outputs, so that an apply reads them.
    """
    changes = [
        planned
        for change in plan.get("resource_changes", [])
        if (planned := _planned(change, values)) and change.get("mode") != "data"
    ]
    outputs = plan.get("output_changes") or {}
    actions = [change.actions for change in changes]
    return PlanSummary(
        add=sum("create" in each for each in actions),
        destroy=sum("delete" in each for each in actions),
        change=sum("create" not in each and "delete" not in each for each in actions),
        resources=changes,
        outputs_change=any(change["actions"] != ["no-op"] for change in outputs.values())
        or (outputs_known or {}) != _prior_outputs(plan),
    )


def _planned(resource: Mapping[str, Any], values: bool) -> PlannedChange | None:
    change = resource["change"]
    previous = resource.get("previous_address")
    # What happens to its place in the state comes first, and may be all.
    actions = ["move"] if previous else ["import"] if change.get("importing") else []
    if change["actions"] not in _QUIET:
        actions += change["actions"]
    if not actions:
        return None
    names = _attributes(change)
    return PlannedChange(
        address=resource["address"],
        actions=actions,
        attributes=names,
        previous_address=previous,
        values=_values(change, names) if values else {},
    )


def _values(change: Mapping[str, Any], names: list[str]) -> dict[str, ValueChange]:
    before, after, unknown = ((change.get(part) or {}) for part in ("before", "after", "after_unknown"))
    sensitive = [mask for part in ("before_sensitive", "after_sensitive") if (mask := change.get(part))]
    found: dict[str, ValueChange] = {}
    for name in names:
        hidden = any(mask is True or mask.get(name) for mask in sensitive)
        pair = _text(before.get(name)), _text(after.get(name))
        # Cut texts could not be recognised as secrets any more, so long ones are left out.
        single = not any(isinstance(each.get(name), list | dict) for each in (before, after))
        if (
            hidden
            or not single
            or any(len(each or "") > _LONGEST_VALUE for each in pair)
            or unknown.get(name) not in (None, False, True)
        ):
            continue
        found[name] = ValueChange(before=pair[0], after=pair[1], unknown=bool(unknown.get(name)))
    return found


def _text(value: Json) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _attributes(change: Mapping[str, Any]) -> list[str]:
    before, after, unknown = ((change.get(part) or {}) for part in ("before", "after", "after_unknown"))
    names = {*before, *after, *unknown}
    return sorted(name for name in names if unknown.get(name) or before.get(name) != after.get(name))


def _prior_outputs(plan: Mapping[str, Any]) -> dict[str, Json]:
    values = (plan.get("prior_state") or {}).get("values") or {}
    return {name: output.get("value") for name, output in (values.get("outputs") or {}).items()}


def secrets(plan: Mapping[str, Any]) -> Iterator[Json]:
    """Every value that the plan marks as sensitive, before and after."""
    changes = [resource["change"] for resource in plan.get("resource_changes", [])]
    for change in [*changes, *(plan.get("output_changes") or {}).values()]:
        yield from _marked(change.get("before"), change.get("before_sensitive"))
        yield from _marked(change.get("after"), change.get("after_sensitive"))


def _marked(value: Json, mask: Json) -> Iterator[Json]:
    """The parts of `value` that `mask`, a parallel structure, marks with true."""
    if mask is True:
        yield value
    elif isinstance(mask, dict) and isinstance(value, dict):
        for name, inner in mask.items():
            yield from _marked(value.get(name), inner)
    elif isinstance(mask, list) and isinstance(value, list):
        for item, inner in zip(value, mask, strict=False):
            yield from _marked(item, inner)
