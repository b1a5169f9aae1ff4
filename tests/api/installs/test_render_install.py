"""The preview of an install's references: what is known, what is masked, and what can't be filled in."""

from typing import Any

import pytest
from ims_driver import Body, Ims
from shop import Shop, applied, module, usual

pytestmark = pytest.mark.anyio


async def rendered(ims: Ims, **params: str) -> dict[str, Body]:
    found = await ims.ok("GET", "/v1/installs/acme/render", params=params)
    return {f"{one['name']}.{text['field'].partition('.')[2]}": text for one in found["components"] for text in one["texts"]}


async def value(ims: Ims, shop: Shop, text: str) -> Any:
    await shop.change("service", module({"x": text}))
    return (await rendered(ims, component="service"))["service.x"]


async def test_what_the_ims_knows_is_filled_in(ims: Ims, shop: Shop) -> None:
    await shop.install(
        "acme", inputs={"domain": "acme.example", "size": 3}, platform="aws", region="eu-west-1", labels={"tier": "gold"}
    )
    for text, expected in (
        ("{{ inputs.domain | upper }}", "ACME.EXAMPLE"),
        ("{{ inputs.size }}", 3),
        ("{{ install.region }}/{{ install.labels.tier }}/{{ install.name }}", "eu-west-1/gold/acme"),
        ("{{ install.labels.zone | default('none') }}", "none"),
        ("{{ .nuon.inputs.inputs.domain }}", "acme.example"),
    ):
        found = await value(ims, shop, text)
        assert (found["value"], found["text"]) == (expected, text)
        assert (found["sensitive"], found["complete"], found["problem"]) == (False, True, "")


async def test_what_is_sensitive_is_masked_and_the_rest_of_the_text_is_shown(ims: Ims, shop: Shop) -> None:
    await ims.ok("POST", "/v1/secrets", {"name": "license", "value": "canary-named"})
    await shop.install("acme", sensitive_inputs={"password": "canary-input"})
    found = await value(ims, shop, "https://{{ inputs.domain }}:{{ inputs.password | url_encode }}@{{ secrets.license }}/")
    assert found["value"] == "https://shop.example:(sensitive)@(sensitive)/"
    assert (found["sensitive"], found["complete"]) == (True, True)
    assert (await value(ims, shop, "{{ inputs.password | default('x') | length }}"))["value"] == "(sensitive)"
    assert "canary" not in str(await ims.ok("GET", "/v1/installs/acme/render"))


async def test_outputs_are_those_of_the_last_deploy_and_sensitive_ones_are_masked(ims: Ims, shop: Shop) -> None:
    def with_secret(payload: Body) -> Body:
        if payload["kind"] == "apply" and payload["component"] == "network":
            return applied({"id": "net-1", "zones": ["a", "b"]}, sensitive=("token",))
        return usual(payload)

    await shop.install("acme")
    before = await value(ims, shop, "n-{{ components.network.outputs.id }}")
    assert (before["value"], before["complete"]) == ("n-(known after network is deployed)", False)
    await shop.begin("acme")
    await shop.agents["acme"].work(with_secret)
    assert (await value(ims, shop, "n-{{ components.network.outputs.id }}"))["value"] == "n-net-1"
    assert (await value(ims, shop, "{{ components.network.outputs.zones }}"))["value"] == ["a", "b"]
    assert (await value(ims, shop, "{{ components.network.outputs.zones | join('+') }}"))["value"] == "a+b"
    masked = await value(ims, shop, "{{ components.network.outputs.token }}")
    assert (masked["value"], masked["sensitive"]) == ("(sensitive)", True)


async def test_what_cannot_be_filled_in_says_why_and_what_to_do(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    for text, problem, remedy in (
        ("{{ inputs.size }}", "no value for input 'size'", "default"),
        ("{{ secrets.nope }}", "no secret 'nope'", "exclave secrets set nope"),
        ("{{ install.region }}", "no region", "default"),
        ("{{ inputs.domain | keys }}", "takes a map", ""),
    ):
        found = await value(ims, shop, text)
        assert (found["value"], found["complete"]) == (None, False)
        assert problem in found["problem"]
        assert remedy in found["remedy"]


async def test_the_configs_are_the_newest_or_those_of_a_release(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    await shop.change("network", module({"domain": "new {{ inputs.domain }}"}))
    assert (await rendered(ims))["network.domain"]["value"] == "new shop.example"
    old = await rendered(ims, release=shop.release["id"])
    assert old["network.domain"]["value"] == "shop.example"
    assert list(old) == ["network.domain", "service.network_id", "service.password"]
    problem = await ims.refused(404, "GET", "/v1/installs/acme/render", params={"component": "netwrk"})
    assert "Did you mean 'network'?" in problem["remedy"]
    await ims.refused(404, "GET", "/v1/installs/acme/render", params={"release": "rel_nope"})


async def test_who_may_only_see_the_install_does_not_see_the_vendors_configs(ims: Ims, shop: Shop) -> None:
    await shop.install("acme")
    for scope, status in (("app:shop", 200), ("install:acme", 403)):
        body = {"name": scope.replace(":", "-"), "role": "viewer", "scope": scope}
        secret = (await ims.ok("POST", "/v1/tokens", body))["secret"]
        answer = await ims.send("GET", "/v1/installs/acme/render", token=secret)
        assert answer.status_code == status
