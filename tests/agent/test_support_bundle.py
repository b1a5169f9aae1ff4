"""A canary in every place that has a secret: none is in the bundle. And what helps is there."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from agent_protocol_server import TOKEN, AgentProtocolServer, agent_protocol_server

from agent.doctor.check import Report
from agent.identity import Home
from agent.install.workspace import Components, PlanRecord, StoredOutput, StoredOutputs, Workspace
from agent.journal import Journal, JournalEntry
from agent.ledger.ledger import Ledger
from agent.redaction import Redactor
from agent.spool import LogSpool
from agent.support.collect import Subject, collect
from agent.support.secrets import clean
from api.client import ImsClient
from api.contract.agents import ApplyResult, Finish
from api.contract.base import Failure

pytestmark = pytest.mark.anyio

PLACES = (
    "registry-password", "proxy-password", "environment", "cloud-key", "secret-file", "secrets-dir", "sensitive-output",
    "plain-output", "plan-secret", "variable", "state", "enrolment-token",
)  # fmt: skip


def canary(place: str) -> str:
    return f"canary&{place}/4711"


def diagnostic(detail: str) -> str:
    return (
        json.dumps({"type": "diagnostic", "diagnostic": {"severity": "error", "summary": "It broke", "detail": detail}}) + "\n"
    )


async def furnished_home(ims: AgentProtocolServer, folder: Path) -> Path:
    """The home of an agent that has been at work, with a secret in every place, and a log that prints all of them."""
    async with httpx.AsyncClient(trust_env=False) as http:
        await Home(folder).enroll(ImsClient(ims.url, None, http), TOKEN, "agent", None)
    everything = "\n".join(
        f"{place}: {form}" for place in PLACES if place not in ("plain-output", "variable") for form in forms(canary(place))
    )
    key = (folder / "agent.key").read_text()
    (folder / "agent.log").write_text(f"first line\n{everything}\n{key}\nAuthorization: Bearer abcdefgh-token\nlast line\n")
    (folder / "agent.log.1").write_text("older line\n")
    (folder / "policy.yaml").write_text("kinds: [terraform_module]\n")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "license").write_text(canary("secret-file") + "\n")
    components = Components(folder)
    workspace = components.of("network")
    plan = workspace.begin_plan("job_1")
    plan.secrets.write_text(json.dumps([canary("plan-secret")]))
    plan.variables.write_text(json.dumps({"domain": canary("variable")}))
    plan.file.write_bytes(canary("plan-secret").encode())
    plan.save(PlanRecord(bundle="sha256:" + "0" * 64, destroy=False, plan_digest=None))
    said = everything + canary("variable")
    plan.said("apply").write_text('{"type": "log", "@message": "a line"}\n' + diagnostic(said) + "torn")
    workspace.store_outputs(
        StoredOutputs(
            outputs={
                "password": StoredOutput(value=canary("sensitive-output"), sensitive=True),
                "url": StoredOutput(value=canary("plain-output"), sensitive=False),
            }
        )
    )
    workspace.state.parent.mkdir()
    attributes = {"id": "x", "result": canary("state")}
    instance = {"attributes": attributes, "sensitive_attributes": [[{"type": "get_attr", "value": "result"}]]}
    workspace.state.write_text(json.dumps({"outputs": {}, "resources": [{"instances": [instance]}]}))
    result = ApplyResult(outputs={"url": canary("plain-output")}, sensitive_outputs=["password"])
    journal = Journal(folder / "journal")
    journal.record(JournalEntry(job_id="job_1", attempt=1, finish=Finish(attempt=1, outcome="succeeded", result=result)))
    failure = Failure(code="apply_failed", message=f"no {canary('cloud-key')}")
    journal.record(JournalEntry(job_id="job_2", attempt=3, finish=Finish(attempt=3, outcome="failed", failure=failure)))
    LogSpool(folder / "logs", "job_2", 3).append(f"the job said {canary('environment')}\nand ended\n")
    Ledger(folder).append("agent.started", version="0.1.0")
    return folder


def forms(secret: str) -> list[str]:
    return [secret, base64.b64encode(secret.encode()).decode(), quote(secret, safe=""), json.dumps(secret)]


@pytest.fixture
async def bundle(tmp_path: Path) -> dict[str, str]:
    """The bundle of such a home, made by the program, unpacked."""
    async with agent_protocol_server() as ims:
        home = await furnished_home(ims, tmp_path / "home")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "db").write_text(canary("secrets-dir"))
        writer = {
            "url": "http://127.0.0.1:1",
            "username": "writer",
            "password": canary("registry-password"),
            "prefix": "mirror",
        }
        (tmp_path / "writer.json").write_text(json.dumps(writer))
        proxy = f"http://agent:{quote(canary('proxy-password'), safe='')}@127.0.0.1:1"
        env = {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "HTTPS_PROXY": proxy,
            "EXCLAVE_SECRET_DB": canary("environment"),
            "AWS_SECRET_ACCESS_KEY": canary("cloud-key"),
            "EXCLAVE_AGENT_TOKEN": canary("enrolment-token"),
            "OF_NO_INTEREST": "canary, though of no interest",
        }
        program = [sys.executable, "-c", "from agent.cli import agent_command; agent_command()", "support-bundle", "--json"]
        options = ["--home", str(home), "--url", ims.url, "--registry-credentials", str(tmp_path / "writer.json")]
        options += ["--secrets-dir", str(tmp_path / "elsewhere"), "--output", str(tmp_path / "bundle.tar.gz")]
        made = await asyncio.create_subprocess_exec(*program, *options, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said, complained = await made.communicate()
        assert made.returncode == 0, complained
        again = await asyncio.create_subprocess_exec(
            *program, *options, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert b"is there already" in (await again.communicate())[1]
    answer = json.loads(said)
    file = tmp_path / "bundle.tar.gz"
    assert (answer["file"], answer["bytes"]) == (str(file), file.stat().st_size)
    assert file.stat().st_mode & 0o777 == 0o600
    found = {}
    with tarfile.open(file) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member)
            assert content
            found[member.name.partition("/")[2]] = content.read().decode()
    assert sorted(found) == sorted(answer["entries"])
    keys = [
        line for name in ("agent.key", "sealing.key") for line in (home / name).read_text().splitlines() if "-----" not in line
    ]
    found["(keys)"] = "\n".join(keys)
    return found


async def test_no_secret_of_any_place_is_in_the_bundle(bundle: dict[str, str]) -> None:
    keys = bundle.pop("(keys)").splitlines()
    needles = ["canary", "abcdefgh-token", *keys, *(form for place in PLACES for form in forms(canary(place)))]
    assert len(keys) == 2
    leaks = {(name, needle) for name, text in bundle.items() for needle in needles if needle in name + text}
    assert leaks == set()
    left_out = ("agent.key", "state", "outputs.json", "variables", "/plan")
    assert [name for name in bundle if name.endswith(left_out)] == []


async def test_what_helps_is_in_the_bundle(bundle: dict[str, str]) -> None:
    assert json.loads(bundle["versions.json"])["exclave"]
    doctor = {one["check"]: one["status"] for one in json.loads(bundle["doctor.json"])["findings"]}
    assert (doctor["ims.identity"], doctor["registry.login"]) == ("PASSED", "FAILED")
    configuration = json.loads(bundle["configuration.json"])
    assert configuration["identity"]["agent_id"] == "agt_1"
    assert configuration["registry"] == {"kind": "login", "url": "http://127.0.0.1:1", "prefix": "mirror"} or configuration[
        "registry"
    ] == {"url": "http://127.0.0.1:1", "prefix": "mirror"}
    assert configuration["variables"]["OF_NO_INTEREST"] == "(set)"
    assert configuration["variables"]["HTTPS_PROXY"] == "http://(sensitive)@127.0.0.1:1"
    log = bundle["log/agent.log"]
    assert log.startswith("first line\n")
    assert log.endswith("last line\n")
    assert bundle["log/agent.log.1"] == "older line\n"
    journal = {entry["job_id"]: entry["finish"] for entry in json.loads(bundle["journal.json"])}
    assert journal["job_1"] == {"outcome": "succeeded", "failure": None}
    assert journal["job_2"]["failure"]["message"] == "no (sensitive)"
    assert bundle["jobs/job_2.3.log"] == "the job said (sensitive)\nand ended\n"
    assert bundle["jobs/network/job_1/apply.txt"].startswith("error: It broke: ")
    assert "components/network/plans/job_1/record.json" in bundle["home.txt"]
    assert "agent.started" in bundle["ledger.jsonl"]
    assert bundle["policy.yaml"].startswith("kinds")


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nMC4CAQAw cut",
        "exca_abcdefghij",
        "exct_abc-def_ghij",
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2lnbmF0dXJl",
        "AKIAIOSFODNN7EXAMPLE",
    ],
)
def test_what_looks_like_a_secret_is_left_out_though_nobody_knows_it(secret: str) -> None:
    assert clean(f"before {secret}", Redactor()) == "before (sensitive)"


def test_addresses_and_ordinary_words_stay() -> None:
    text = "https://ims.example.com/v1 sha256:abc job_1 excellent expired"
    assert clean(text, Redactor()) == text
    assert (
        clean("https://me:pw@host/x?X-Amz-Signature=0af", Redactor())
        == "https://(sensitive)@host/x?X-Amz-Signature=(sensitive)"
    )


def test_a_folder_without_an_agent_is_named(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from agent.cli import agent_command; agent_command()", "support-bundle"]
    refused = subprocess.run([*program, "--home", str(tmp_path)], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "has no agent" in refused.stderr


def test_what_a_running_agent_removes_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    components = Components(tmp_path)
    for name in ("goes", "stays"):
        plan = components.of(name).plan("job_1")
        plan.folder.mkdir(parents=True)
        plan.secrets.write_text('["hidden"]')
    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, _just_after(components.of("goes"), getattr(os, name)))
    subject = Subject(home=tmp_path, env={}, secret_files=[tmp_path / "components"])
    doctor = Report(checked_at=datetime.now(UTC), passed=True, findings=[])
    texts = dict(collect(subject, doctor, datetime.now(UTC)))
    assert "components/stays/plans/job_1" in texts["home.txt"]
    assert "components/goes" not in texts["home.txt"]


def _just_after(gone: Workspace, look: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Look into a folder; when it is one of the component's, the component has just been removed."""

    def look_late(folder: Any) -> Any:
        if str(folder) == str(gone.root / "plans") and gone.root.exists():
            gone.remove()
        return look(folder)

    return look_late
