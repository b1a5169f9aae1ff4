"""Label and field selectors ("Labels and Selectors", "Field Selectors")."""

from typing import Any

Obj = dict[str, Any]


def selected(obj: Obj, query: dict[str, str]) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return all(_label(labels, term) for term in _terms(query.get("labelSelector", ""))) and all(
        _field(obj, term) for term in _terms(query.get("fieldSelector", ""))
    )


def _terms(selector: str) -> list[str]:
    """Split at commas, but for those in parentheses."""
    terms, depth, term = [], 0, ""
    for character in selector:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            terms.append(term)
            term = ""
        else:
            term += character
    return [each.strip() for each in (*terms, term) if each.strip()]


def _label(labels: dict[str, str], term: str) -> bool:
    if " in (" in term or " notin (" in term:
        name, word, values = term.split(" ", 2)
        inside = labels.get(name) in [value.strip() for value in values.strip("()").split(",")]
        return inside if word == "in" else not inside
    if "!=" in term:
        name, _, value = term.partition("!=")
        return labels.get(name) != value
    if "=" in term:
        name, _, value = term.replace("==", "=").partition("=")
        return labels.get(name) == value
    return term[1:] not in labels if term.startswith("!") else term in labels


def _field(obj: Obj, term: str) -> bool:
    name, _, value = term.replace("==", "=").partition("=")
    unequal = name.endswith("!")
    at: Any = obj
    for part in name.rstrip("!").split("."):
        at = (at or {}).get(part)
    return (str(at or "") == value) is not unequal
