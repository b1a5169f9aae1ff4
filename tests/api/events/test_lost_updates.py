"""A lost update says who changed what, and when."""

from typing import Any

import pytest
from ims_driver import Body, Ims
from shop import INPUTS, NETWORK, Shop, module

from api.events.changes import changed_fields

pytestmark = pytest.mark.anyio


async def lost(ims: Ims, path: str, body: Body, version: int = 1) -> Body:
    return await ims.refused(412, "PUT", path, body, headers={"if-match": f'"{version}"'})


async def test_who_changed_what_and_when_is_told_at_the_field(ims: Ims, shop: Shop) -> None:
    ci = (await ims.ok("POST", "/v1/tokens", {"name": "ci", "role": "editor"}))["secret"]
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "acme", "sensitive_inputs": {"password": "old"}})
    change = {"inputs": {"size": 3}, "sensitive_inputs": {"password": "hush"}, "labels": {"tier": "gold"}}
    await ims.ok("PUT", "/v1/installs/acme", change, token=ci)
    problem = await lost(ims, "/v1/installs/acme", {})
    fields = ["inputs.size", "labels.tier", "sensitive_inputs.password"]
    assert [one["field"] for one in problem["errors"]] == fields
    assert {one["message"] for one in problem["errors"]} == {"token:ci changed it at 2026-11-21 09:00:00Z"}
    assert f"version 2, not 1: token:ci changed {', '.join(fields)} at 2026-11-21 09:00:00Z (event " in problem["detail"]
    assert "hush" not in str(problem)


async def test_the_newest_changes_are_told_and_the_others_counted(ims: Ims, shop: Shop) -> None:
    for number in range(8):
        await ims.ok("PUT", "/v1/apps/shop", {"description": f"version {number}", "inputs": INPUTS})
    problem = await lost(ims, "/v1/apps/shop", {})
    assert problem["detail"].count("token:admin changed description at") == 5
    assert problem["detail"].endswith("; and 3 more")


@pytest.mark.parametrize("version", [0, 7, 99])
async def test_a_version_that_never_was_has_no_history(ims: Ims, shop: Shop, version: int) -> None:
    problem = await lost(ims, "/v1/apps/shop", {}, version)
    assert problem["detail"] == f"the object is at version 1, not {version}"


async def test_components_secrets_and_webhooks_tell_it_too(ims: Ims, shop: Shop) -> None:
    await shop.change("network", module({**NETWORK, "domain": "other"}))
    problem = await lost(ims, "/v1/apps/shop/components/network", {"config": module()})
    assert [one["field"] for one in problem["errors"]] == ["config.variables.domain"]
    await ims.ok("POST", "/v1/secrets", {"name": "key", "value": "hush"})
    await ims.ok("PUT", "/v1/secrets/key", {"value": "hush2"})
    assert "secret.updated by token:admin at" in (await lost(ims, "/v1/secrets/key", {"value": "x"}))["detail"]
    hook = {"url": "https://93.184.215.14/"}
    await ims.ok("POST", "/v1/webhooks", {"name": "hook", **hook})
    await ims.ok("PUT", "/v1/webhooks/hook", {**hook, "events": ["deploy.*"]})
    assert [one["field"] for one in (await lost(ims, "/v1/webhooks/hook", hook))["errors"]] == ["events"]


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        ({"a": 1, "gone": 1}, {"a": 2, "new": 1}, ["a"]),
        ({"a": {"b": {"c": {"d": 1}}}}, {"a": {"b": {"c": {"d": 2}}}}, ["a.b.c"]),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, ["a.b", "a.c"]),
        ({"inputs": [{"name": "x", "type": "string"}]}, {"inputs": [{"name": "x", "type": "bool"}]}, ["inputs.x.type"]),
        ({"a": [1]}, {"a": [2]}, ["a"]),
        (None, {"a": 1}, []),
    ],
)
def test_the_fields_that_differ_are_named(before: Any, after: Any, fields: list[str]) -> None:
    assert changed_fields(before, after) == fields
