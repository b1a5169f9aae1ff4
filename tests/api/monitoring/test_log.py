"""The log: what a line has, and what it never has."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ims_driver import Agent, Ims
from shop import Shop

from api.monitoring.log import JsonFormatter, TextFormatter, without_secrets

pytestmark = pytest.mark.anyio


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(lambda record: not record.name.startswith("http"))  # the test's own client
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def lines(log: io.StringIO, logger: str = "api.request") -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["logger"] == logger]


async def test_every_answer_has_the_id_of_its_request_and_the_log_has_it_too(ims: Ims, log: io.StringIO) -> None:
    made = await ims.send("GET", "/v1/apps")
    kept = await ims.send("GET", "/v1/apps/nowhere", headers={"x-request-id": "from-a.proxy_1"})
    other = await ims.send("GET", "/v1/apps", headers={"x-request-id": "two words"})
    assert re.fullmatch(r"[0-9a-f]{16}", made.headers["x-request-id"])
    assert kept.headers["x-request-id"] == "from-a.proxy_1"
    assert other.headers["x-request-id"] != "two words"
    line = lines(log)[1]
    assert (line["request_id"], line["actor"], line["path"], line["status"], line["level"]) == (
        "from-a.proxy_1",
        "token:admin",
        "/v1/apps/nowhere",
        404,
        "info",
    )


async def test_a_line_of_an_agents_request_names_the_agent_and_the_job(ims: Ims, shop: Shop, log: io.StringIO) -> None:
    agent = await shop.install("acme")
    await shop.begin("acme")
    lease = await agent.take("sync")
    await agent.heartbeat(lease)
    line = lines(log)[-1]
    assert (line["agent_id"], line["job_id"], line["level"]) == (agent.id, lease["job_id"], "debug")


async def test_a_mistake_of_the_server_is_answered_with_the_id_that_finds_it(
    ims: Ims, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug near Authorization: Bearer canarycanarycanary")

    monkeypatch.setattr(ims.state.db, "read", fail)
    answer = await ims.send("GET", "/v1/apps", headers={"x-request-id": "find-me"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "find-me")
    assert "find-me" in answer.json()["remedy"]
    line = lines(log, "api.errors")[0]
    assert (line["request_id"], "a bug near" in line["error"]) == ("find-me", True)
    assert "canary" not in log.getvalue()


async def test_no_secret_reaches_the_log_be_it_in_a_header_a_body_or_an_address(ims: Ims, shop: Shop, log: io.StringIO) -> None:
    agent = await Agent.enrolled(ims)
    made = await ims.ok("POST", "/v1/tokens", {"name": "canary-name"})
    await ims.send("GET", "/v1/apps", params={"token": "canary-query"}, headers={"x-secret": "canary-header"})
    await ims.refused(422, "POST", "/v1/apps", {"name": "a", "canary-field": "canary-body"})
    await ims.refused(401, "GET", "/v1/apps", token="excl_canarycanarycanary")
    await ims.send("GET", f"/v1/apps/{ims.token}")
    await ims.send("GET", "/v2/", token=None, headers={"authorization": "Basic Y2FuYXJ5OmNhbmFyeQ=="})
    text = log.getvalue()
    assert len(lines(log)) > 8
    for secret in ("canary", "Y2FuYXJ5", ims.token, agent.token, made["secret"]):
        assert secret not in text


@pytest.mark.parametrize(
    "text",
    ["Bearer canary.canary", "postgresql://u:canary@h", "excl_canarycanarycanary", "authorization: basic Y2FuYXJ5canary"],
)
def test_what_looks_like_a_secret_is_masked_whoever_logs_it(text: str) -> None:
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "f", 1, "x %s", (text,), None)
    for formatter in (TextFormatter(), JsonFormatter()):
        assert "canary" not in formatter.format(record)
    assert without_secrets("plain words stay") == "plain words stay"


def test_text_is_one_readable_line() -> None:
    record = logging.LogRecord("api.x", logging.WARNING, "f", 1, "it is %s", ("late",), None)
    record.created = 0
    assert TextFormatter().format(record) == "1970-01-01T00:00:00.000Z WARNING api.x: it is late"
