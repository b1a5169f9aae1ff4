"""An agent that misbehaves, against the real IMS: replayed tickets and late reports are refused, and told of in the history."""

import base64
import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from engineer import PASSWORD, open_quickstart
from stage import Stage, wait_for


class RogueAgent:
    """Speaks the agent protocol by hand."""

    def __init__(self, stage: Stage, install: str) -> None:
        self.stage = stage
        self.token: str | None = None
        key = Ed25519PrivateKey.generate()
        public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        secret = stage.enroll(install).read_text()
        body = {"token": secret, "public_key": public, "name": "rogue", "version": "0", "platform": "linux/amd64"}
        agent = self.call("POST", "/v1/agent/enroll", body)[1]["agent_id"]
        nonce, now = secrets.token_hex(16), int(time.time())
        signed = base64.b64encode(key.sign(f"exclave-agent-sign-in\n{agent}\n{now}\n{nonce}".encode())).decode()
        body = {"agent_id": agent, "timestamp": now, "nonce": nonce, "signature": signed, "version": "0"}
        self.token = self.call("POST", "/v1/agent/session", body)[1]["access_token"]

    def call(self, method: str, path: str, body: dict | None = None, authorization: str | None = None) -> tuple[int, dict]:
        headers = {"Content-Type": "application/json"}
        if authorization or self.token:
            headers["Authorization"] = authorization or f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.stage.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"{}")

    def lease(self) -> dict:
        status, job = self.call("POST", "/v1/agent/lease", {"wait_seconds": 30})
        assert status == 200, job
        return job

    def redeem(self, ticket: dict, scope: str) -> int:
        basic = base64.b64encode(f"{ticket['username']}:{ticket['password']}".encode()).decode()
        return self.call("GET", f"/token?service=exclave&scope=repository:{scope}", authorization=f"Basic {basic}")[0]


@pytest.fixture
def rogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RogueAgent]:
    """A rogue agent of install acme, to which the quickstart is on its way. Its lease lasts two seconds, or what is asked."""
    stage = Stage(tmp_path / "stage", lease_seconds=getattr(request, "param", 2))
    try:
        open_quickstart(stage)
        targets = ("-target=exclave_release.current", "-target=exclave_install.customer")
        done = stage.terraform("apply", "-auto-approve", "-input=false", *targets, variables={"admin_password": PASSWORD})
        assert done.code == 0, done.output
        agent = RogueAgent(stage, "acme")
        release = stage.get("/v1/releases")["items"][0]["id"]
        stage.post("/v1/deploys", {"install_id": "acme", "release_id": release})
        yield agent
    finally:
        stage.remove()


def refusals(agent: RogueAgent) -> list[str]:
    """Why tickets were refused, from the history."""
    return [event["after"]["reason"] for event in agent.stage.get("/v1/events?action=ticket.refused")["items"]]


@pytest.mark.parametrize("rogue", [600], indirect=True, ids=["all in one lease"])
def test_a_ticket_works_once_for_its_own_repository_and_for_pulling_only(rogue: RogueAgent) -> None:
    first = rogue.lease()["payload"]
    ticket, repository = first["registry"], first["registry"]["repository"]
    other = "shop/service" if repository == "shop/network" else "shop/network"
    assert rogue.redeem(ticket, f"{other}:pull") == 401
    assert rogue.redeem(ticket, f"{repository}:push") == 401
    assert rogue.redeem(ticket, f"{repository}:pull") == 200
    assert rogue.redeem(ticket, f"{repository}:pull") == 401
    told = refusals(rogue)
    assert [next(word for word in ("repository", "pulling", "once") if word in reason) for reason in told] == [
        "repository",
        "pulling",
        "once",
    ]


def test_a_ticket_that_comes_too_late_is_refused(rogue: RogueAgent) -> None:
    """Late is here: after its attempt. That it ends 60 s after it was issued is tested with a clock that can be moved."""
    lease = rogue.lease()
    job = lease["job_id"]
    wait_for("the requeue of the job", lambda: rogue.stage.get(f"/v1/jobs/{job}")["state"] == "queued")
    assert rogue.redeem(lease["payload"]["registry"], f"{lease['payload']['registry']['repository']}:pull") == 401
    assert refusals(rogue) == ["the attempt that it was issued for is over"]


def test_a_report_from_an_expired_lease_is_refused(rogue: RogueAgent) -> None:
    first = rogue.lease()
    job = first["job_id"]
    wait_for("the requeue of the job", lambda: rogue.stage.get(f"/v1/jobs/{job}")["state"] == "queued")
    while (second := rogue.lease())["job_id"] != job:
        pass
    assert second["attempt"] == first["attempt"] + 1
    result = {"kind": "sync", "copied_bytes": 1, "skipped_bytes": 0}
    late = {"attempt": first["attempt"], "outcome": "succeeded", "result": result}
    status, problem = rogue.call("POST", f"/v1/agent/jobs/{job}/finish", late)
    assert status == 409
    assert problem["type"].endswith("stale_attempt")
    # On a slow machine, the second lease may have expired meanwhile, and other jobs' leases, too.
    now = rogue.stage.get(f"/v1/jobs/{job}")
    assert now["ended_at"] is None, now
    assert job in [event["object_id"] for event in rogue.stage.get("/v1/events?action=job.stale_report")["items"]]
