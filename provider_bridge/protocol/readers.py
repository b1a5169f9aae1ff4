"""Changes of the values of one kind inside a value of a type, such as of all numbers."""

from collections.abc import Callable, Mapping
from typing import Any

Reader = Callable[[Any], Any]


def reader(constraint: Any, leaves: Mapping[str, Reader]) -> Reader | None:
    """What changes the parts of a value of this type (a JSON type constraint) that `leaves` names by their type.

    None where there can be no such part, so that nothing needs to be walked through.
    """
    if isinstance(constraint, str) or constraint is None:
        return leaves.get(constraint or "")
    kind, of = constraint[0], constraint[1]
    if kind == "object":
        fields = {name: inner for name, each in of.items() if (inner := reader(each, leaves))}
        return (lambda value: _read_object(fields, value)) if fields else None
    if kind == "tuple":
        readers = [reader(each, leaves) for each in of]
        return (lambda value: _read_tuple(readers, value)) if any(readers) else None
    inner = reader(of, leaves)
    return None if inner is None else (lambda value: _read_all(inner, value))


def _read_all(inner: Reader, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: inner(each) for key, each in value.items()}
    return [inner(each) for each in value] if isinstance(value, list) else value


def _read_object(fields: dict[str, Reader], value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {**value, **{name: inner(value[name]) for name, inner in fields.items() if name in value}}


def _read_tuple(readers: list[Reader | None], value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [each if inner is None else inner(each) for inner, each in zip(readers, value, strict=True)]
