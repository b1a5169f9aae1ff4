"""What the API says of itself: whole, and true. (That each answer is in it: `as_documented` and `test_contract_of_the_api`.)"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from as_documented import document
from ims_driver import Ims

import api.contract.problems
from api.contract.problems import PROBLEM_MEDIA_TYPE, ProblemError
from api.openapi.document import TAGS, operations
from api.openapi.examples import ANSWERS, REQUESTS, examples

pytestmark = pytest.mark.anyio
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


def problem_classes() -> list[type[ProblemError]]:
    known = vars(api.contract.problems).values()
    return [one for one in known if isinstance(one, type) and issubclass(one, ProblemError) and one is not ProblemError]


@pytest.fixture
def doc(fresh_ims: Ims) -> dict[str, Any]:
    return document(fresh_ims.app)


async def test_every_operation_has_a_stable_name_a_summary_a_tag_and_its_refusals(doc: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(doc)]
    assert sorted(set(names)) == sorted(names)
    for method, path, operation in operations(doc):
        at = f"{method} {path}"
        assert re.fullmatch(r"[a-z_]+", operation["operationId"]), at
        assert operation["summary"], at
        assert operation["description"], at
        assert set(operation["tags"]) <= set(TAGS), at
        assert ("401" in operation["responses"]) >= bool(operation.get("security")), at
        assert not [status for status in operation["responses"] if "X" in status], at
        for status, answer in operation["responses"].items():
            if status[0] == "4":
                assert list(answer["content"]) == [PROBLEM_MEDIA_TYPE], at
    assert {tag["name"] for tag in doc["tags"]} == {tag for _, _, one in operations(doc) for tag in one["tags"]}
    assert (doc["openapi"][:4], doc["info"]["license"]["name"]) == ("3.1.", "Apache-2.0")


async def test_every_body_and_every_answer_has_an_example(doc: dict[str, Any]) -> None:
    missing = []
    for _, _, operation in operations(doc):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for body in [*bodies, *operation["responses"].values()]:
            for kind, content in body.get("content", {}).items():
                schema = content.get("schema", {})
                if kind == "application/json" and "examples" not in _resolved(doc, schema):
                    missing.append((operation["operationId"], schema))
    assert missing == []


def _resolved(doc: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    refs = [one["$ref"] for one in [schema, *schema.get("anyOf", [])] if "$ref" in one]
    return doc["components"]["schemas"][refs[0].rsplit("/", 1)[1]] if refs else schema


async def test_every_example_is_one_of_its_model() -> None:
    known = examples()
    for example in [*REQUESTS, *ANSWERS]:
        said = known[type(example).__name__]
        assert type(example).model_validate(said) == example
        assert said


async def test_a_lost_update_can_be_told_for_everything_that_has_a_version(doc: dict[str, Any]) -> None:
    named = {operation["operationId"]: operation for _, _, operation in operations(doc)}
    changing = [name for name in named if name.startswith("update_")]
    assert len(changing) >= 5
    for name in changing:
        for other in (name, name.replace("update_", "delete_")):
            assert "412" in named[other]["responses"], other
        assert "ETag" in named[name.replace("update_", "get_")]["responses"]["200"]["headers"]


async def test_every_create_takes_an_idempotency_key_or_says_why_not(doc: dict[str, Any], fresh_ims: Ims) -> None:
    bodies = {
        "create_token": {"name": "t"},
        "create_enrollment": {"kind": "build"},
        "create_webhook": {"name": "w", "url": "x"},
    }
    for method, path, operation in operations(doc):
        name = operation["operationId"]
        if "201" not in operation["responses"] or name in ("find_drift", "begin_device"):
            # The first finds the run that is under way; of the second, one more is what the same request means.
            continue
        if name in bodies:
            problem = await fresh_ims.refused(422, method, path, bodies[name], headers={"idempotency-key": "k"})
            assert problem["errors"][0]["field"] == "Idempotency-Key"
        else:
            assert "idempotency-key" in [one["name"].lower() for one in operation["parameters"]], name
    await fresh_ims.refused(422, "POST", "/v1/apps", {"name": "a"}, headers={"idempotency-key": "k" * 256})


async def test_every_list_refuses_a_cursor_that_is_not_its_own(doc: dict[str, Any], fresh_ims: Ims) -> None:
    ims = fresh_ims
    await ims.ok("POST", "/v1/apps", {"name": "shop"})
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme"})
    await ims.ok("POST", "/v1/webhooks", {"name": "hook", "url": "http://127.0.0.1:9/"})
    lists = [
        path
        for method, path, operation in operations(doc)
        if method == "GET" and {"limit", "after"} <= {one["name"] for one in operation.get("parameters", [])}
    ]
    assert len(lists) >= 15
    for path in lists:
        if "{agent}" in path:  # its cursor is a moment
            continue
        at = path.replace("{app}", "shop").replace("{install}", "acme").replace("{webhook}", "hook")
        assert set(await ims.ok("GET", at)) == {"items", "after"}, at
        for wrong in ("x", "shop_01kajxq5wa000000000000000q", "app_", "0x10", "app_01kajxq5wa\u0000"):
            problem = await ims.refused(422, "GET", at, params={"after": wrong})
            assert problem["errors"][0]["field"] == "after", at


async def test_a_path_refuses_the_methods_that_it_does_not_have(doc: dict[str, Any], fresh_ims: Ims) -> None:
    for path, item in doc["paths"].items():
        for method in {"get", "put", "post", "delete", "patch", "options", "trace"} - set(item):
            answer = await fresh_ims.send(method.upper(), re.sub(r"{[a-z]+}", "x", path))
            like_an_object = any(
                method in other and other_path != path and re.fullmatch(re.sub(r"{[a-z]+}", "[^/]+", other_path), path)
                for other_path, other in doc["paths"].items()
            )
            assert answer.status_code == 405 or like_an_object, (method, path)
            assert answer.headers["content-type"] == PROBLEM_MEDIA_TYPE, (method, path)


async def test_a_stranger_is_told_so_before_anything_about_the_body(fresh_ims: Ims) -> None:
    for content in (b"{nope", b"\xff\xfe\xff", b'{"name": "' + b"[" * 100_000):
        sent = {"content": content, "headers": {"content-type": "application/json"}}
        await fresh_ims.refused(401, "POST", "/v1/apps", token=None, **sent)
        await fresh_ims.refused(422, "POST", "/v1/apps", **sent)


@pytest.mark.parametrize("field", ["description", "name"])
async def test_what_no_database_has_a_place_for_is_refused_or_kept_whole(fresh_ims: Ims, field: str) -> None:
    for value in ("a\u0000b", "\ud800", "\U0010ffff"):
        body = {"name": "a", field: value}
        sent = {"content": json.dumps(body), "headers": {"content-type": "application/json"}}
        answer = await fresh_ims.send("POST", "/v1/apps", **sent)
        assert answer.status_code in (201, 422), answer.text
        if answer.status_code == 201:
            assert answer.json()[field] == value
            await fresh_ims.ok("DELETE", "/v1/apps/a")
    await fresh_ims.refused(422, "GET", "/v1/apps", params={"name": "\u0000", "limit": str(2**70)})


async def test_the_reference_names_every_problem(doc: dict[str, Any]) -> None:
    said = set(re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", REFERENCE.read_text(), re.MULTILINE))
    assert said == {(one.code, str(one.status)) for one in problem_classes()}
