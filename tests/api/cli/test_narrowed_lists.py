"""The options that narrow a list down: what is listed and what isn't, and what is said of a value that won't do."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from click.testing import CliRunner, Result
from ims_driver import Agent, Ims
from listening_ims import listening
from shop import SERVICE, Shop, module, usual

from api.cli import exclave

pytestmark = pytest.mark.anyio

Run = Callable[[str], Awaitable[Result]]


@pytest.fixture
async def run(ims: Ims) -> AsyncIterator[Run]:
    """Run a command against the IMS, signed in."""
    async with listening(ims) as url:
        env = {"EXCLAVE_URL": url, "EXCLAVE_TOKEN": ims.token, "EXCLAVE_TOKEN_FILE": None}

        async def call(command: str) -> Result:
            return await asyncio.to_thread(CliRunner().invoke, exclave, command.split(), env=env)

        yield call


async def both(run: Run, command: str, key: str, heading: str) -> list[str]:
    """What a list has, as a column of its table says and as its JSON does: the same."""
    table = await run(command)
    as_json = await run(f"{command} --json")
    assert (table.exit_code, as_json.exit_code) == (0, 0), table.output + as_json.output
    headings, *rows = table.output.splitlines()
    at = headings.index(heading)
    listed = [row[at:].split("  ")[0].strip() for row in rows]
    assert listed == [str(one[key]) for one in json.loads(as_json.output)["items"]]
    return listed


async def nothing(run: Run, command: str) -> str:
    """What the table of a list that has nothing says instead."""
    table = await run(command)
    as_json = await run(f"{command} --json")
    assert (table.exit_code, json.loads(as_json.output)["items"]) == (0, [])
    return table.output.rstrip()


async def with_two_releases(shop: Shop) -> str:
    """Release 1 is on `acme`, and release 2 on `umbrella`; the second one's id."""
    await shop.change("service", module(SERVICE, path="/src/service", digest="2"))
    second = await shop.new_release()
    for install, release in [("acme", shop.release), ("umbrella", second)]:
        await shop.install(install)
        await shop.deploy(install, release)
    return str(second["id"])


async def test_installs_and_deploys_are_listed_by_the_number_or_the_id_of_a_release(shop: Shop, run: Run) -> None:
    second = await with_two_releases(shop)
    await shop.install("empty")
    for release, install in [("1", "acme"), (shop.release["id"], "acme"), ("2", "umbrella"), (second, "umbrella")]:
        assert await both(run, f"installs list --release {release}", "name", "NAME") == [install]
        assert await both(run, f"deploys list --release {release}", "install_name", "INSTALL") == [install]
    assert await both(run, "installs list", "name", "NAME") == ["acme", "umbrella", "empty"]
    assert await both(run, "deploys list", "install_name", "INSTALL") == ["umbrella", "acme"]
    assert await nothing(run, "installs list --release 3") == "No installs with release number 3."
    assert await nothing(run, "deploys list --release rel_none") == "No deploys with release rel_none."
    assert (
        await nothing(run, "deploys list --release 1 --install umbrella")
        == "No deploys with install umbrella, release number 1."
    )


async def test_releases_are_listed_by_number_and_installs_and_releases_by_app(ims: Ims, shop: Shop, run: Run) -> None:
    await shop.new_release()
    await shop.install("acme")
    app = await ims.ok("POST", "/v1/apps", {"name": "depot"})
    await ims.ok("POST", "/v1/apps/depot/components", {"name": "store", "config": module()})
    await ims.ok("POST", "/v1/releases", {"app_id": "depot"})
    await shop.builder.work(usual)
    await ims.ok("POST", "/v1/installs", {"app_id": "depot", "name": "bunker"})
    for number, apps in [(1, ["depot", "shop"]), (2, ["shop"])]:
        assert await both(run, f"releases list --number {number}", "app_name", "APP") == apps
    assert await both(run, "releases list --app shop", "number", "NUMBER") == ["2", "1"]
    assert await both(run, "releases list --app shop --number 1", "number", "NUMBER") == ["1"]
    for name in ("depot", app["id"]):
        assert await both(run, f"releases list --app {name}", "app_name", "APP") == ["depot"]
        assert await both(run, f"installs list --app {name}", "name", "NAME") == ["bunker"]
    assert await nothing(run, "releases list --app depot --number 2") == "No releases with app depot, number 2."
    assert await nothing(run, "installs list --app depot --release 1") == "No installs with app depot, release number 1."


async def test_agents_are_listed_by_the_version_that_they_run(shop: Shop, run: Run) -> None:
    updated = await Agent.enrolled(shop.ims)
    await updated.ims.ok(
        "POST",
        "/v1/agent/lease",
        {"wait_seconds": 0, "health": {"version": "0.2.0", "uptime_seconds": 1, "jobs": 0}},
        token=updated.token,
    )
    assert await both(run, "agents list --version 0.2.0", "id", "ID") == [updated.id]
    assert await both(run, "agents list --version 0.1.0", "id", "ID") == [shop.builder.id]
    assert await both(run, "agents list", "id", "ID") == [shop.builder.id, updated.id]
    assert await nothing(run, "agents list --version 0.2") == "No agents with version 0.2."


async def test_a_list_of_what_is_not_there_yet_says_how_to_make_it(run: Run) -> None:
    assert await nothing(run, "installs list") == "No installs yet. Define one with exclave_install."
    assert await nothing(run, "releases list") == "No releases yet. Make one with exclave_release."
    assert await nothing(run, "deploys list") == "No deploys yet."
    assert await nothing(run, "agents list") == "No agents yet. Enrol one with `exclave agents enroll`."


async def test_a_value_that_will_not_do_is_refused_with_what_would(shop: Shop, run: Run) -> None:
    for command, code, said in [
        ("installs list --app depot", 4, "there is no app 'depot'"),
        ("releases list --app depot", 4, "there is no app 'depot'"),
        ("installs list --release 0", 1, "release_number: 0 is too little\nGive at least 1."),
        ("deploys list --release 0", 1, "release_number: 0 is too little\nGive at least 1."),
        ("releases list --number 0", 2, "'--number': 0 is not in the range x>=1."),
        ("releases list --number first", 2, "'--number': 'first' is not a valid integer range."),
        ("agents list --version", 2, "Option '--version' requires an argument."),
    ]:
        for form in (command, command.replace("list", "list --json")):
            result = await run(form)
            assert (result.exit_code, said in result.stderr, result.stdout) == (code, True, ""), (form, result.output)
