"""`exclave agent doctor` against real servers, sockets and files on loopback."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from agent_protocol_server import AgentProtocolServer, agent_protocol_server
from certificates import make_certificates
from forward_proxy import forward_proxy
from patients import collected, enrolled, findings
from registry_server import RegistryServer, serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.doctor.check import Check, Finding, Report, passed, run_checks
from agent.doctor.doctor import Patient, examine
from agent.doctor.network import ImsCheck

pytestmark = pytest.mark.anyio


async def test_a_machine_that_has_everything_passes(
    ims: AgentProtocolServer, customer: RegistryServer, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    writer = tmp_path / "writer.json"
    writer.write_text(json.dumps({"url": customer.url, "username": "writer", "password": "secret"}))
    home = await enrolled(ims, tmp_path / "home", http)
    found = await findings(Patient(ims.url, home, writer))
    for name in ("home", "ims.dns", "ims.tcp", "ims.http", "ims.clock", "ims.identity", "registry.login", "registry.push"):
        assert found[name].status == "PASSED", found[name]
    assert found["registry.pull"].status == "PASSED"
    assert "agt_1" in found["ims.identity"].detail
    assert found["ims.tls"].status == "SKIPPED"


async def test_before_the_first_start_there_is_nothing_to_sign_in_with(ims: AgentProtocolServer, tmp_path: Path) -> None:
    found = await findings(Patient(ims.url, tmp_path / "home"))
    assert (found["home"].status, found["ims.identity"].status) == ("SKIPPED", "SKIPPED")
    assert found["ims.http"].status == "PASSED"
    assert not (tmp_path / "home").exists(), "the doctor makes nothing"


async def test_nothing_listens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = await findings(Patient(f"http://127.0.0.1:{taken.getsockname()[1]}"))
    assert found["ims.tcp"].status == "FAILED"
    assert "outbound TCP" in found["ims.tcp"].remedy
    assert found["ims.http"].detail == "not known before ims.tcp works"


async def test_a_name_that_is_not_known() -> None:
    found = await findings(Patient("https://no-such-name.invalid"))
    assert found["ims.dns"].status == "FAILED"
    assert "HTTPS_PROXY" in found["ims.dns"].remedy


async def test_a_server_that_never_answers_costs_no_more_than_the_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        found = await findings(Patient(f"http://127.0.0.1:{silent.getsockname()[1]}"), limit=3)
    assert time.monotonic() - begun < 60
    assert found["ims"].status == "FAILED"
    assert "within 3 s" in found["ims"].detail
    assert found["ims.tcp"].status == "PASSED"


async def test_a_library_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    script = """
import asyncio, threading, sys
from agent.doctor import doctor
from agent.doctor.check import Check
async def hangs():
    await asyncio.to_thread(threading.Event().wait)
    yield
doctor._checks = lambda patient: [Check("slow", hangs)]
print(doctor.as_text(doctor.examine(doctor.Patient(), 0.2)))
"""
    done = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
    async with asyncio.timeout(240):
        said, _ = await done.communicate()
    assert done.returncode == 0
    assert b"FAILED   slow" in said


async def test_a_fault_in_one_check_leaves_the_others() -> None:
    async def breaks() -> AsyncIterator[Finding]:
        yield passed("a.first", "good")
        raise RuntimeError("unforeseen")

    async def works() -> AsyncIterator[Finding]:
        yield passed("b", "good")

    found = await run_checks([Check("a", breaks), Check("b", works)], 5)
    assert [(one.check, one.status) for one in found] == [("a.first", "PASSED"), ("a", "FAILED"), ("b", "PASSED")]


async def answering(content: bytes, status: int, media_type: str, test: Callable[[str], object]) -> None:
    async def answer(request: Request) -> Response:
        return Response(content, status, media_type=media_type)

    async with serve(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        await test(url)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "status", "media_type", "remedy"),
    [
        (b"<html>Please log in to the guest network</html>", 200, "text/html", "Something else than an IMS"),
        (b'{"name": "exclave", "vers', 200, "application/json", "Something else than an IMS"),
        (b"<html>not found</html>", 404, "text/html", "Something else than an IMS"),
        (b"oops", 500, "text/plain", "Look at the IMS"),
    ],
)
async def test_something_else_than_a_healthy_ims_answers(content: bytes, status: int, media_type: str, remedy: str) -> None:
    async def look(url: str) -> None:
        found = await findings(Patient(url))
        assert found["ims.http"].status == "FAILED"
        assert remedy in found["ims.http"].remedy

    await answering(content, status, media_type, look)


@pytest.mark.parametrize(("skew", "words"), [(600, "600 s ahead of"), (-600, "600 s behind")])
async def test_a_wrong_clock_is_told_and_the_agent_signs_in_all_the_same(
    skew: int, words: str, ims: AgentProtocolServer, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    home = await enrolled(ims, tmp_path / "home", http)
    found = await collected(ImsCheck(httpx.URL(ims.url), home, wall=lambda: time.time() + skew).look())
    assert found["ims.clock"].status == "FAILED"
    assert words.split()[2] in found["ims.clock"].detail
    assert 595 < int(found["ims.clock"].detail.split()[4]) < 605
    assert found["ims.identity"].status == "PASSED"


async def test_an_agent_that_was_revoked_is_told(ims: AgentProtocolServer, tmp_path: Path, http: httpx.AsyncClient) -> None:
    home = await enrolled(ims, tmp_path / "home", http)
    ims.revoke()
    assert (await findings(Patient(ims.url, home)))["ims.identity"].status == "FAILED"


async def test_a_home_that_others_may_read_fails_and_stays_as_it_is(
    ims: AgentProtocolServer, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    home = await enrolled(ims, tmp_path / "home", http)
    (home / "agent.key").chmod(0o644)
    found = (await findings(Patient(ims.url, home)))["home"]
    assert found.status == "FAILED"
    assert "agent.key" in found.detail
    assert found.remedy == f"chmod -R go-rwx {home}"
    assert (home / "agent.key").stat().st_mode & 0o777 == 0o644


async def test_a_damaged_identity_and_a_lost_key_are_told(
    ims: AgentProtocolServer, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    home = await enrolled(ims, tmp_path / "home", http)
    (home / "agent.key").rename(home / "elsewhere")
    lost = (await findings(Patient(ims.url, home)))["ims.identity"]
    assert "is gone" in lost.detail
    assert not (home / "agent.key").exists()
    (home / "identity.json").write_text("{")
    assert (await findings(Patient(ims.url, home)))["ims.identity"].status == "FAILED"


async def test_a_certificate_of_nobody_we_trust_and_one_for_another_name(tmp_path: Path) -> None:
    make_certificates(tmp_path / "tls", "ims.test")
    async with agent_protocol_server(tmp_path / "tls") as ims:
        untrusted = (await findings(Patient(ims.url)))["ims.tls"]
        assert untrusted.status == "FAILED"
        assert "--ca-file" in untrusted.remedy
        os.environ["SSL_CERT_FILE"] = str(tmp_path / "tls" / "ca.pem")
        other = (await findings(Patient(ims.url)))["ims.tls"]
        assert "the name that the certificate is for" in other.remedy
        async with forward_proxy(ims=int(ims.url.rpartition(":")[2])) as proxy:
            os.environ["HTTPS_PROXY"] = proxy.url
            found = await findings(Patient("https://ims.test"))
            assert [found[name].status for name in ("proxy", "ims.tls", "ims.http")] == ["PASSED"] * 3
            assert found["ims.dns"].status == "SKIPPED"
            refused = await findings(Patient("https://other.test"))
            assert "NO_PROXY" in refused["ims.http"].remedy


async def test_a_proxy_that_is_away_or_asks_for_a_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        os.environ["HTTPS_PROXY"] = f"http://me:canary@127.0.0.1:{taken.getsockname()[1]}"
        report = await asyncio.to_thread(examine, Patient("https://ims.test"), 10)
    assert {one.check for one in report.findings if one.status == "FAILED"} == {"proxy", "ims.http"}
    assert "canary" not in report.model_dump_json()
    async with forward_proxy() as proxy:
        proxy.authorization = "Basic x"
        os.environ["HTTPS_PROXY"] = proxy.url
        assert "name:password@" in (await findings(Patient("https://ims.test")))["ims.http"].remedy


async def test_a_file_of_authorities_that_is_not_there() -> None:
    os.environ["SSL_CERT_FILE"] = "/no/such/file.pem"
    found = await findings(Patient("https://127.0.0.1:1"))
    assert (found["authorities"].status, found["ims.dns"].status) == ("FAILED", "FAILED")


async def test_a_registry_that_refuses_or_is_away(customer: RegistryServer, tmp_path: Path) -> None:
    writer = tmp_path / "writer.json"
    for content, part in (
        ({"url": customer.url, "username": "stranger", "password": "canary"}, "registry.login"),
        ({"url": "http://127.0.0.1:1", "username": "writer", "password": "canary"}, "registry.login"),
        ({"url": "http://127.0.0.1:1"}, "registry.login"),
    ):
        writer.write_text(json.dumps(content))
        found = await findings(Patient(registry_credentials=writer))
        assert found[part].status == "FAILED", found[part]
        assert found["registry.pull"].detail == "not known before registry.login works"
        assert "canary" not in str(found)


async def test_a_proxy_before_the_registry_that_limits_bodies_shows_at_the_push(
    customer: RegistryServer, tmp_path: Path
) -> None:
    """nginx refuses more than 1 MiB unless it is told otherwise: the first thing that goes wrong in the field."""

    async def forward(request: Request) -> Response:
        if int(request.headers.get("content-length", 0)) > 1 << 20:
            return Response(status_code=413)
        async with httpx.AsyncClient(trust_env=False) as http:
            url = customer.url + request.url.path + (f"?{request.url.query}" if request.url.query else "")
            answer = await http.request(request.method, url, headers=dict(request.headers), content=await request.body())
        return Response(answer.content, answer.status_code, dict(answer.headers))

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    async with serve(Starlette(routes=[Route("/{path:path}", forward, methods=methods)])) as url:
        (tmp_path / "writer.json").write_text(json.dumps({"url": url, "username": "writer", "password": "secret"}))
        found = await findings(Patient(registry_credentials=tmp_path / "writer.json"))
    assert found["registry.login"].status == "PASSED"
    assert found["registry.push"].status == "FAILED"
    assert "413" in found["registry.push"].detail


@pytest.mark.e2e
async def test_the_command_prints_json_and_ends_with_its_code(ims: AgentProtocolServer, tmp_path: Path) -> None:
    async def run(*arguments: str) -> tuple[int | None, str, str]:
        program = [sys.executable, "-c", "from agent.cli import agent_command; agent_command()", "doctor"]
        done = await asyncio.create_subprocess_exec(
            *program, *arguments, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said, complained = await done.communicate()
        return done.returncode, said.decode(), complained.decode()

    code, said, _ = await run("--url", ims.url, "--json")
    report = Report.model_validate_json(said)
    assert (code, report.passed) == (0, True)
    code, said, _ = await run("--url", "http://127.0.0.1:1")
    assert code == 1
    assert "FAILED   ims.tcp" in said
    assert "-> Allow outbound TCP" in said
    assert (await run("--url", "ims.test"))[0] == 2
    code, _, complained = await run("--ca-file", str(tmp_path / "none"))
    assert (code, "--ca-file" in complained) == (1, True)
