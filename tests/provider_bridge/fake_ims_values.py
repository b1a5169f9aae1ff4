"""What the fake IMS makes of values."""

import hashlib
from typing import Any

from api.contract.problems import FieldProblem, InvalidError


def refuse(detail: str, problems: list[FieldProblem]) -> None:
    if problems:
        raise InvalidError(detail, errors=problems)


def fingerprints(values: dict[str, Any]) -> dict[str, str]:
    return {name: hashlib.sha256(f"key of the fake {value}".encode()).hexdigest() for name, value in values.items()}


def meaning(config: Any) -> Any:
    body = config.model_dump(mode="json")
    if body["source"]["path"] and body["source"]["path"]["digest"]:
        body["source"]["path"]["path"] = ""
    return body


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
