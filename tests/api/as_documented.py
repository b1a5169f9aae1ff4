"""Holds answers against the OpenAPI document: the status, and the type of what comes with it."""

import re
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI

from api.openapi.document import operations

_documents: list[dict[str, Any]] = []


def document(app: FastAPI) -> dict[str, Any]:
    """The document, which is the same of every app: made once for all tests of a process."""
    if not _documents:
        _documents.append(app.openapi())
    return _documents[0]


@cache
def _operations() -> list[tuple[str, re.Pattern[str], dict[str, Any]]]:
    found = [
        (method, path.count("{"), re.compile(re.sub(r"{[a-z]+}", "[^/]+", path)), operation)
        for method, path, operation in operations(_documents[0])
    ]
    return [(method, path, operation) for method, _, path, operation in sorted(found, key=lambda one: one[1])]


def assert_as_documented(app: FastAPI, answer: httpx.Response) -> None:
    """Fail for a status or a content type that the document doesn't have for the operation; 405 and 500 are in none."""
    document(app)
    request = answer.request
    path = request.url.raw_path.decode().partition("?")[0]
    operation = next((one for method, like, one in _operations() if method == request.method and like.fullmatch(path)), None)
    if operation is None or answer.status_code in (405, 500):
        return
    said = operation["responses"].get(str(answer.status_code))
    name = f"{operation['operationId']}: {answer.status_code} {answer.text[:300]}"
    assert said is not None, f"not in the document: {name}"
    kinds = list(said.get("content", {}))
    given = answer.headers.get("content-type", "").partition(";")[0]
    assert given in kinds if kinds else not answer.content, f"{given!r} instead of {kinds}: {name}"
    assert not said.get("headers", {}).get("ETag") or answer.headers.get("etag"), f"no ETag: {name}"
