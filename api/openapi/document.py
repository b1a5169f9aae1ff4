"""Makes FastAPI's document whole: problems by their status, examples, entity tags, bodies that aren't JSON."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from api.contract.problems import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE_PREFIX, Problem, ProblemError
from api.openapi.refusals import BY_OPERATION, BY_PARAMETER, SIGNED_IN, WITH_BODY, WITH_PARAMETERS, WITH_PATH, WITH_ROLE

Doc = dict[str, Any]
METHODS = ("get", "put", "post", "delete", "patch")

DESCRIPTION = """\
One vendor's control plane: apps and their components, releases, installs in customers' clouds, and the deploys that bring one
to the other.

Every error is a problem (RFC 9457, `application/problem+json`): `type` ends in a stable code, `errors` names the fields at
fault, `remedy` says what to do, `retryable` whether trying again can help. A mistake of the server is a problem, too, with the
status 500 and the code `internal`, and so is a database that can't be reached: 503, `unavailable`. No operation lists these.
"""

TAGS = {
    "apps": "What a vendor ships, and what each install must say about itself.",
    "components": "The parts of an app: where each is built from, and what goes into it.",
    "installs": "One app in one customer's account: its inputs, what runs there, its history.",
    "builds": "One component config at one source revision, as a signed artifact.",
    "releases": "Immutable, numbered sets of builds.",
    "deploys": "One release on its way to one install: steps, approvals, retries, drift runs.",
    "agents": "The programs that build, and that deploy in customers' accounts.",
    "agent protocol": "What agents say: enrol, sign in, lease, heartbeat, tickets, logs, finish.",
    "jobs": "What agents are given to do, and its logs.",
    "events": "The audit history: a hash chain of all that happened.",
    "tokens": "Programs that may call: role, scope, expiry.",
    "login": "People who may call, and programs that they confirm (RFC 8628).",
    "secrets": "Named, write-only values, and the key that they are sealed with.",
    "webhooks": "Events sent to addresses of the vendor's.",
    "monitoring": "For the machines that watch the IMS.",
    "registry": "The built-in registry's own housekeeping; artifacts go by the OCI distribution API at `/v2`.",
    "server": "What this server is.",
    "terraform registry": "How `terraform init` gets the provider and the modules; in Terraform's own protocols.",
}

_TEXT = {"schema": {"type": "string"}}
_BODIES = {
    "put_log": {
        "description": "One gzip member with at most 64 KiB of UTF-8 text.",
        "required": True,
        "content": {"application/gzip": {"schema": {"type": "string", "contentMediaType": "application/gzip"}}},
    }
}
_ANSWERS: dict[str, Doc] = {
    "export_events": {"application/jsonl": _TEXT},
    "get_log": {"text/plain": _TEXT},
    "get_provider_checksums": {"text/plain": _TEXT},
    "get_provider_signature": {"application/octet-stream": {}},
    "get_terraform_package": {"application/zip": {}},
    "metrics": {"text/plain": _TEXT},
}
_VERSIONED = {"App", "Component", "Install", "Secret", "Webhook", "WebhookWithSecret"}
"""Models whose `version` is the ETag."""
_ETAG = {"description": "The object's version: send it back as If-Match.", "schema": {"type": "string"}, "required": True}


def name_operations(routes: Iterable[BaseRoute]) -> None:
    """Call each operation as the function that answers is called: stable, and the same in code, docs and generated clients."""
    for route in routes:
        if isinstance(route, APIRoute):
            route.operation_id = route.name


def install_document(app: FastAPI) -> None:
    """Let an app describe itself whole. The document is made when somebody asks for it first."""
    plain = app.openapi

    @cache
    def whole() -> Doc:
        doc = plain()
        _complete(doc)
        return doc

    app.openapi = whole  # type: ignore[method-assign]


def operations(doc: Doc) -> Iterator[tuple[str, str, Doc]]:
    """Every operation: its method in capitals, its path, and what is said of it."""
    for path, item in doc["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def _complete(doc: Doc) -> None:
    from api.openapi.examples import schemas_of_examples  # here, for nobody else needs them

    doc["info"]["description"] = DESCRIPTION
    doc["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    doc["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    schemas = doc["components"]["schemas"]
    schemas.setdefault("Problem", Problem.model_json_schema(ref_template="#/components/schemas/{model}"))
    schemas.update(schemas["Problem"].pop("$defs", {}))
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of what is a problem here
        schemas.pop(unused, None)
    for name, example in schemas_of_examples(list(schemas)).items():
        schemas[name]["examples"] = [example]
    shown = doc["components"].setdefault("examples", {})
    for _, _, operation in operations(doc):
        problems = sorted(problems_of(operation), key=lambda one: (one.status, one.code))
        shown.update({problem.code: {"value": _example(problem)} for problem in problems})
        _complete_operation(operation, problems)


def _complete_operation(operation: Doc, problems: list[type[ProblemError]]) -> None:
    name = operation["operationId"]
    if name in _BODIES:
        operation["requestBody"] = _BODIES[name]
    answers = operation["responses"]
    answers.pop("422", None)
    if any(one["name"] == "dry_run" for one in operation.get("parameters", [])) and "201" in answers:
        answers["200"] = {**answers["201"], "description": "What would have been made: nothing was."}
    for status, answer in answers.items():
        if name in _ANSWERS and status == "200":
            answer["content"] = _ANSWERS[name]
        for content in answer.get("content", {}).values():
            model = content.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1]
            if model in _VERSIONED and _says_version(name):
                answer["headers"] = {"ETag": _ETAG}
    by_status: dict[int, list[type[ProblemError]]] = {}
    for problem in problems:
        by_status.setdefault(problem.status, []).append(problem)
    for status, some in by_status.items():
        answers[str(status)] = {
            "description": " ".join(f"`{problem.code}`: {(problem.__doc__ or '').splitlines()[0]}" for problem in some),
            "content": {
                PROBLEM_MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {problem.code: {"$ref": f"#/components/examples/{problem.code}"} for problem in some},
                }
            },
        }


def _says_version(operation: str) -> bool:
    """Whether an operation answers with an entity tag: a rehearsed create has none, and an action changes no version."""
    return operation.startswith(("get_", "update_"))


def problems_of(operation: Doc) -> set[type[ProblemError]]:
    """Every kind of problem that an operation may answer with."""
    found: set[type[ProblemError]] = set(BY_OPERATION.get(operation["operationId"], []))
    parameters = operation.get("parameters", [])
    needs = {scope for one in operation.get("security", []) for scopes in one.values() for scope in scopes}
    found.update(SIGNED_IN if operation.get("security") else [])
    found.update(WITH_ROLE if needs - {"work"} else [])
    found.update(WITH_BODY if "requestBody" in operation else [])
    found.update(WITH_PARAMETERS if parameters else [])
    found.update(WITH_PATH if any(one["in"] == "path" for one in parameters) else [])
    for one in parameters:
        found.update(kind for name, kinds in BY_PARAMETER.items() if one["name"].lower() == name.lower() for kind in kinds)
    return found


def _example(problem: type[ProblemError]) -> Doc:
    shown = Problem(
        type=PROBLEM_TYPE_PREFIX + problem.code, title=problem.title, status=problem.status, retryable=problem.retryable
    )
    return shown.model_dump(mode="json")
