"""Selectors: how they are read, and that the database means the same."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ims_driver import Ims, fields
from shop import Shop

from api.contract.problems import InvalidError
from api.installs.selector import Requirement, parse

keys = st.from_regex(r"[a-z]([a-z0-9._-]{0,8}[a-z0-9])?(/[a-z]{1,5})?", fullmatch=True)
values = st.from_regex(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?)?", fullmatch=True)
requirements = st.one_of(
    st.builds(Requirement, keys.filter(lambda key: ".." not in key.split("/")[0]), st.sampled_from(["exists", "missing"])),
    st.builds(Requirement, keys, st.sampled_from(["in", "notin"]), st.lists(values, min_size=1, max_size=4).map(tuple)),
)


def valid(requirement: Requirement) -> bool:
    prefix, slash, _ = requirement.key.rpartition("/")
    return not slash or not (
        set(prefix) & {"_"}
        or any(not part or part[0] + part[-1] != (part[0] + part[-1]).strip("-") for part in prefix.split("."))
    )


def written(requirement: Requirement, space: str) -> str:
    match requirement.operator:
        case "exists":
            return requirement.key
        case "missing":
            return f"!{space}{requirement.key}"
        case operator:
            return f"{requirement.key} {operator}{space}({space}{f'{space},{space}'.join(requirement.values)}{space})"


@pytest.mark.service
@given(st.lists(requirements.filter(valid), max_size=5), st.sampled_from(["", " ", "  "]))
def test_a_selector_that_is_written_out_reads_the_same(wanted: list[Requirement], space: str) -> None:
    assert parse(f"{space},{space}".join(written(each, space) for each in wanted)) == wanted


@given(st.text(alphabet="ab=!,() intoé/.-", max_size=30))
def test_any_text_is_a_selector_or_is_refused_at_a_position(text: str) -> None:
    with contextlib.suppress(InvalidError):
        assert all(requirement.key for requirement in parse(text))


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("region=eu,", 11, "a label's key"),
        ("region=eu tier", 11, "a comma or the end"),
        ("=eu", 1, "a label's key"),
        ("region in eu", 11, "`(`"),
        ("region in (eu", 14, "a comma or `)`"),
        ("region near (eu)", 8, "`notin`"),
        ("a=b=c", 4, "a comma or the end"),
        ("a=-b", 3, "a label's value"),
        ("!", 2, "a label's key"),
    ],
)
def test_what_is_wrong_is_told_with_its_position(text: str, position: int, said: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse(text)
    message = caught.value.errors[0].message
    assert message.startswith(f"at position {position}, ")
    assert said in message


FLEET = {
    "a": {"region": "eu", "tier": "gold"},
    "b": {"region": "eu", "canary": ""},
    "c": {"region": "us", "tier": "free", "example.com/team": "x"},
    "d": {},
}


@pytest.mark.anyio
async def test_the_database_selects_what_the_selector_means(ims: Ims, shop: Shop) -> None:
    for name, labels in FLEET.items():
        await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": name, "labels": labels})
    for text in (
        "region=eu",
        "region==eu,tier!=gold",
        "tier!=free",
        "region in (eu,us),!canary",
        "tier notin (gold, free)",
        "canary",
        "canary=",
        "!tier",
        "example.com/team=x",
        "region=eu,region=us",
        "",
    ):
        means = [name for name, labels in FLEET.items() if all(each.holds(labels) for each in parse(text))]
        found: list[str] = []
        after = None
        while after or not found:
            params = {"selector": text, "limit": 1, **({"after": after} if after else {})}
            page = await ims.ok("GET", "/v1/installs", params=params)
            found += [one["name"] for one in page["items"]]
            after = page["after"]
            if after is None:
                break
        assert found == means, text


@pytest.mark.anyio
async def test_deploys_are_selected_by_their_installs_labels(ims: Ims, shop: Shop) -> None:
    await shop.install("acme", labels={"region": "eu"})
    await shop.install("other", labels={"region": "us"})
    wanted = await shop.begin("acme")
    await shop.begin("other")
    found = await ims.ok("GET", "/v1/deploys", params={"selector": "region=eu"})
    assert [one["id"] for one in found["items"]] == [wanted["id"]]
    assert fields(await ims.refused(422, "GET", "/v1/deploys", params={"selector": "region=eu,"})) == ["selector"]


@pytest.mark.anyio
async def test_labels_change_with_the_install_and_deploy_nothing(ims: Ims, shop: Shop) -> None:
    await shop.install("acme", labels={"region": "eu", "tier": "gold"})
    changed = await ims.ok("PUT", "/v1/installs/acme", {"labels": {"region": "us"}})
    assert (changed["labels"], changed["inputs_version"], changed["version"]) == ({"region": "us"}, 1, 2)
    for selector, count in (("region=eu", 0), ("tier", 0), ("region=us", 1)):
        assert len((await ims.ok("GET", "/v1/installs", params={"selector": selector}))["items"]) == count
