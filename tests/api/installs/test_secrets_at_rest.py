"""No secret rests in the clear: not in a file of the data folder, not in an answer to anybody but the install's own agent."""

import gzip
from pathlib import Path

import pytest
from ims_driver import Agent, Body, Ims, running_ims
from shop import Shop, applied, usual
from sqlalchemy import text

pytestmark = pytest.mark.anyio

CANARY = "canary-2f7c-correct-horse"


def places_with(ims: Ims, secret: str) -> list[str]:
    """Where an IMS holds some text: the names of files, the database, also packed in a log."""
    found = [file.name for file in ims.data.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
    with ims.database() as connection:
        logs = b"".join(gzip.decompress(data) for (data,) in connection.execute(text("SELECT data FROM log_chunk")))
    found += ["the database"] if secret.encode() in ims.stored() else []
    return [*found, "a log"] if secret.encode() in logs else found


async def whole_run(ims: Ims) -> list[Agent]:
    """Everything that may happen to a sensitive input; gives the agents."""
    shop = await Shop.open(ims)
    key = {"idempotency-key": "once"}
    install = {"app_id": "shop", "name": "acme", "sensitive_inputs": {"password": CANARY}}
    await ims.ok("POST", "/v1/installs", install, headers=key)
    await ims.ok("POST", "/v1/installs", install, headers=key)
    await ims.ok("POST", "/v1/installs", {**install, "name": "dry"}, params={"dry_run": "true"})
    await ims.refused(422, "POST", "/v1/installs", {**install, "name": "bad", "inputs": {"password": CANARY}})
    await ims.refused(422, "POST", "/v1/installs", {**install, "name": "bad", "sensitive_inputs": {"password": [CANARY]}})
    await ims.refused(422, "POST", "/v1/installs", {**install, "name": CANARY + "!"})
    await ims.ok("PUT", "/v1/installs/acme", {"sensitive_inputs": {"password": CANARY + "-2"}})
    agent = await Agent.enrolled(ims, "acme")
    shop.agents["acme"] = agent
    deploy = await shop.begin("acme")
    while lease := await agent.lease():
        await agent.log(lease, "the password is ***\n")
        resumed = await agent.lease(resume=lease)
        assert resumed
        await agent.succeed(resumed, result(resumed["payload"]))
    assert (await shop.look(deploy))["status"] == "succeeded"
    paths = [
        "/v1/installs",
        "/v1/installs/acme",
        "/v1/deploys",
        "/v1/jobs",
        "/v1/events?limit=1000",
        "/v1/agents",
        "/v1/tokens",
    ]
    for path in [*paths, f"/v1/deploys/{deploy['id']}", f"/v1/jobs/{deploy['steps'][0]['job_id']}/logs"]:
        await ims.send("GET", path)
    await ims.ok("POST", "/v1/deploys", {"install_id": "acme", "kind": "teardown"})
    await agent.work(usual)
    await ims.ok("DELETE", "/v1/installs/acme")
    return [agent, shop.builder]


def result(payload: Body) -> Body:
    return applied({"id": "n-1"}, sensitive=("password",)) if payload["kind"] == "apply" else usual(payload)


async def test_a_sensitive_input_is_in_no_file_and_in_no_answer_but_the_agents_own_jobs(
    tmp_path: Path, database_url: str | None
) -> None:
    async with running_ims(tmp_path / "ims", database_url=database_url) as ims:
        agents = await whole_run(ims)
        tickets = [access for answer in ims.answers if (access := _ticket(answer.content))]
        for answer in ims.answers:
            if CANARY in answer.text:
                assert answer.request.url.path == "/v1/agent/lease"
                assert answer.request.headers["authorization"] in [f"Bearer {agent.token}" for agent in agents[:1]]
                assert answer.json()["payload"]["kind"] in ("plan", "apply", "plan_destroy", "destroy")
        secrets = [ims.token, *[agent.token for agent in agents], *tickets]
        assert len(secrets) > 5
        while_running = [places_with(ims, secret) for secret in (CANARY, *secrets)]
    assert [found for found in while_running if found] == []
    assert [found for secret in (CANARY, *secrets) if (found := places_with(ims, secret))] == []
    assert places_with(ims, "network"), "the search finds what is there"


def _ticket(answer: bytes) -> str | None:
    return answer.split(b'"password":"exct_')[1].split(b'"')[0].decode() if b'"password":"exct_' in answer else None


async def test_an_apply_gets_the_secret_that_is_current(ims: Ims, shop: Shop) -> None:
    agent = await shop.install("acme", sensitive_inputs={"password": "one"})
    await ims.ok("PUT", "/v1/installs/acme", {"sensitive_inputs": {"password": "two"}})
    await shop.begin("acme")
    for _ in range(2):
        lease = await agent.lease()
        assert lease
        await agent.succeed(lease, usual(lease["payload"]))
    assert (await agent.take("plan", "network"))["payload"]["sensitive_inputs"] == {"password": "two"}


async def test_what_an_ims_keeps_is_for_its_owner_alone(ims: Ims, shop: Shop) -> None:
    for kept in [ims.data, *(file for file in ims.data.iterdir() if file.suffix in (".db", ".key"))]:
        assert kept.stat().st_mode & 0o077 == 0, kept
