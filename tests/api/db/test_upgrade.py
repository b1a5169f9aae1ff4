"""An IMS of the first version, stopped in the middle of its work, is opened by this version: nothing is lost, all goes on.

`first_version/` has its database and its key; `first_version/make.py` made them.
"""

import base64
import gzip
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ims_driver import Agent, Body, Clock, Ims, running_ims
from shop import usual

pytestmark = pytest.mark.anyio

FIRST = Path(__file__).parent / "first_version"
KNOWN = json.loads((FIRST / "known.json").read_text())


@pytest.fixture
async def upgraded(tmp_path: Path) -> AsyncIterator[Ims]:
    """This version, on the data of the first one, some minutes later."""
    with closing(sqlite3.connect(tmp_path / "exclave.db")) as connection:
        connection.executescript(gzip.decompress((FIRST / "database.sql.gz").read_bytes()).decode())
    shutil.copy(FIRST / "secrets.key", tmp_path / "secrets.key")
    clock = Clock(Clock().now + timedelta(minutes=5))
    async with running_ims(tmp_path, clock, KNOWN["token"]) as ims:
        yield ims


async def agent(ims: Ims, known: Body) -> Agent:
    found = Agent(ims, Ed25519PrivateKey.from_private_bytes(base64.b64decode(known["key"])), known["id"])
    await found.sign_in()
    return found


async def test_the_history_is_whole_and_goes_on(upgraded: Ims) -> None:
    assert len((await upgraded.ok("GET", "/v1/events", params={"limit": 1000}))["items"]) == KNOWN["events"]
    assert await upgraded.chain_is_whole()
    await upgraded.ok("POST", "/v1/apps", {"name": "after-the-upgrade"})
    assert await upgraded.chain_is_whole()


async def test_a_deploy_in_the_middle_goes_on_with_the_job_that_its_agent_holds(upgraded: Ims) -> None:
    acme = await agent(upgraded, KNOWN["agents"]["acme"])
    held = await acme.lease(resume=KNOWN["held"])
    assert held
    assert (held["job_id"], held["attempt"], held["resumed"]) == (KNOWN["held"]["job_id"], KNOWN["held"]["attempt"], True)
    await acme.succeed(held, usual(held["payload"]))
    payloads = await everything(acme)
    assert {"plan", "apply"} <= {one["kind"] for one in payloads}
    assert {json.dumps(one["sensitive_inputs"]) for one in payloads if one["kind"] == "plan"} == {'{"password": "of acme"}'}
    assert (await upgraded.ok("GET", f"/v1/deploys/{KNOWN['middle']}"))["status"] == "succeeded"
    assert await upgraded.chain_is_whole()


async def test_a_deploy_that_waits_is_run_to_its_end(upgraded: Ims) -> None:
    globex = await agent(upgraded, KNOWN["agents"]["globex"])
    payloads = await everything(globex)
    assert {json.dumps(one["sensitive_inputs"]) for one in payloads if one["kind"] == "plan"} == {'{"password": "of globex"}'}
    assert (await upgraded.ok("GET", f"/v1/deploys/{KNOWN['waiting']}"))["status"] == "succeeded"


async def test_a_new_release_is_built_by_the_agent_that_was_there(upgraded: Ims) -> None:
    builder = await agent(upgraded, KNOWN["builder"])
    made = await upgraded.ok("POST", "/v1/releases", {"app_id": "shop"})
    await builder.work(usual)
    assert (await upgraded.ok("GET", f"/v1/releases/{made['id']}"))["status"] == "ready"


async def everything(agent: Agent) -> list[Body]:
    """Do all jobs of an agent; their payloads."""
    done = []
    while lease := await agent.lease():
        done.append(lease["payload"])
        await agent.succeed(lease, usual(lease["payload"]))
    return done
