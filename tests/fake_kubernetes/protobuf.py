"""Bodies in Kubernetes' protobuf encoding, which helm's client sends for what it stores ("Kubernetes Protobuf encoding").

The numbers are those of the published `generated.proto` files; fields that no client of ours sends are passed over.
"""

import base64
from collections.abc import Iterator
from typing import Any

MAGIC = b"k8s\x00"

_META: dict[int, tuple[str, Any]] = {
    1: ("name", str),
    2: ("generateName", str),
    3: ("namespace", str),
    5: ("uid", str),
    6: ("resourceVersion", str),
    11: ("labels", {str: str}),
    12: ("annotations", {str: str}),
    14: ("finalizers", [str]),
}
_KINDS: dict[str, dict[int, tuple[str, Any]]] = {
    "Secret": {
        1: ("metadata", _META),
        2: ("data", {str: bytes}),
        3: ("type", str),
        4: ("stringData", {str: str}),
        5: ("immutable", bool),
    },
    "ConfigMap": {1: ("metadata", _META), 2: ("data", {str: str}), 3: ("binaryData", {str: bytes}), 4: ("immutable", bool)},
    "Namespace": {1: ("metadata", _META)},
    "SelfSubjectAccessReview": {
        2: (
            "spec",
            {1: ("resourceAttributes", {1: ("namespace", str), 2: ("verb", str), 3: ("group", str), 5: ("resource", str)})},
        )
    },
    "DeleteOptions": {
        1: ("gracePeriodSeconds", int),
        2: ("preconditions", {1: ("uid", str), 2: ("resourceVersion", str)}),
        3: ("orphanDependents", bool),
        4: ("propagationPolicy", str),
        5: ("dryRun", [str]),
    },
}


def decode(data: bytes) -> dict[str, Any] | None:
    """The object as JSON has it, or None for a kind that isn't known here."""
    assert data.startswith(MAGIC)
    envelope = {number: value for number, value in _fields(data[len(MAGIC) :])}
    type_meta = {number: value.decode() for number, value in _fields(envelope[1])}
    if type_meta[2] not in _KINDS:
        return None
    return {"apiVersion": type_meta[1], "kind": type_meta[2], **_message(envelope[2], _KINDS[type_meta[2]])}


def _message(data: bytes, shape: dict[int, tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number not in shape:
            continue
        name, kind = shape[number]
        if isinstance(kind, list):
            found.setdefault(name, []).append(value.decode())
        elif isinstance(kind, dict) and str in kind:
            entry = {part: inner for part, inner in _fields(value)}
            found.setdefault(name, {})[entry[1].decode()] = _scalar(entry.get(2, b""), kind[str])
        elif isinstance(kind, dict):
            found[name] = _message(value, kind)
        elif value != b"":
            found[name] = _scalar(value, kind)
    return found


def _scalar(value: Any, kind: type) -> Any:
    if kind is bytes:
        return base64.b64encode(value).decode()
    return value.decode() if kind is str else kind(value)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value: a number for varints, bytes for what has a length."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
            case 2:
                length, at = _varint(data, at)
                yield tag >> 3, data[at : at + length]
                at += length
            case 1:
                at += 8
            case 5:
                at += 4


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
