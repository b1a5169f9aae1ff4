"""Through a company's proxy, with an authority of its own: real sockets, real TLS, and names that only the proxy knows."""

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from agent_protocol_server import TOKEN, AgentProtocolServer, agent_protocol_server
from artifacts import image
from certificates import make_certificates
from forward_proxy import ForwardProxy, forward_proxy
from registry_server import IMPATIENT, WRITER, RegistryServer, built_in_registry, serve
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from agent import outbound
from agent.build.git import check_out
from agent.identity import Home
from agent.oci.client import RegistryClient
from agent.oci.copy import copy_artifact
from agent.outbound import OutboundError, Proxies, calls_client, outbound_client, settle_environment, tls
from agent.session import Idle, Session
from api.client import ImsClient, UnreachableError
from api.contract.agents import LeaseRequest
from api.contract.components import GitSource

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Every test has an environment of its own, without any proxy or authority."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.endswith(("_CA_BUNDLE", "_CAINFO"))]:
        del os.environ[name]
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ.pop("SSL_CERT_DIR", None)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    make_certificates(tmp_path / "tls", "ims.test", "registry.test", "git.test", "cloud.test", "127.0.0.1")
    return tmp_path / "tls"


@pytest.fixture
async def ims(certificates: Path) -> AsyncIterator[AgentProtocolServer]:
    async with agent_protocol_server(certificates) as server:
        yield server


def port(url: str) -> int:
    found = httpx.URL(url).port
    assert found
    return found


def behind(proxy: ForwardProxy, certificates: Path, folder: Path) -> None:
    """Set this process up as an agent's start does."""
    os.environ["HTTPS_PROXY"] = os.environ["HTTP_PROXY"] = proxy.url
    settle_environment(os.environ, certificates / "ca.pem", folder / "home")


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "https://ims.example.com", False),
        ("*", "https://ims.example.com", True),
        ("example.com", "https://ims.example.com", True),
        ("example.com", "https://example.com", True),
        (".example.com", "https://ims.example.com", True),
        ("*.example.com", "https://ims.example.com", True),
        ("example.com", "https://notexample.com", False),
        ("example.com:8443", "https://example.com", False),
        ("example.com:443", "https://example.com", True),
        (" other.test , EXAMPLE.com ", "https://ims.Example.COM", True),
        ("10.0.0.0/8", "https://10.1.2.3:5000", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.1.2.3", "https://10.1.2.3", True),
        ("10.1.2.3:5000", "https://10.1.2.3:5000", True),
        ("10.1.2.3:5000", "https://10.1.2.3", False),
        ("::1", "https://[::1]:8420", True),
        ("[::1]:8420", "https://[::1]:8420", True),
        ("[::1]:8421", "https://[::1]:8420", False),
        ("fd00::/8", "https://[fd00::7]", True),
        ("10.0.0.0/8", "https://ims.example.com", False),
    ],
)
def test_no_proxy_names_hosts_addresses_networks_and_ports(no_proxy: str, url: str, direct: bool) -> None:
    proxies = Proxies.of_environment({"HTTPS_PROXY": "proxy.test:3128", "NO_PROXY": no_proxy})
    assert proxies.to(httpx.URL(url)) == (None if direct else httpx.URL("http://proxy.test:3128"))


def test_small_letters_win_and_all_proxy_stands_for_both() -> None:
    proxies = Proxies.of_environment({"https_proxy": "http://a", "HTTPS_PROXY": "http://b", "ALL_PROXY": "http://c"})
    assert proxies.to(httpx.URL("https://x")) == httpx.URL("http://a")
    assert proxies.to(httpx.URL("http://x")) == httpx.URL("http://c")


@pytest.mark.parametrize("value", ["socks5://user:canary@proxy.test:1080", "http://", "http://canary:x"])
def test_a_proxy_that_cannot_be_used_is_named_without_its_value(value: str) -> None:
    with pytest.raises(OutboundError, match="HTTPS_PROXY") as caught:
        Proxies.of_environment({"HTTPS_PROXY": value})
    assert "canary" not in str(caught.value)


async def test_the_session_goes_through_the_proxy_and_trusts_the_companys_authority(
    ims: AgentProtocolServer, certificates: Path, tmp_path: Path
) -> None:
    async with forward_proxy(ims=port(ims.url)) as proxy:
        behind(proxy, certificates, tmp_path)
        async with outbound_client() as http:
            identity = await Home(tmp_path / "home").enroll(ImsClient("https://ims.test", None, http), TOKEN, "agent", None)
            answer = await Session("https://ims.test", identity, http).lease(LeaseRequest(wait_seconds=0))
    assert answer == Idle(0)
    assert proxy.asked == ["CONNECT ims.test"], "one connection is kept for all calls"


async def test_without_the_authority_the_server_is_not_trusted(ims: AgentProtocolServer, certificates: Path) -> None:
    async with outbound_client() as http:
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            await ImsClient(ims.url, None, http).call("GET", "/v1")


async def test_a_proxy_may_want_a_name_and_a_password(ims: AgentProtocolServer, certificates: Path, tmp_path: Path) -> None:
    async with forward_proxy(ims=port(ims.url)) as proxy:
        proxy.authorization = "Basic " + base64.b64encode(b"agent:s3cret").decode()
        behind(proxy, certificates, tmp_path)
        async with outbound_client() as http:
            with pytest.raises(UnreachableError, match="407"):
                await ImsClient("https://ims.test", None, http).call("GET", "/")
        for name in ("HTTPS_PROXY", "https_proxy"):
            os.environ[name] = proxy.url.replace("//", "//agent:s3cret@")
        async with outbound_client() as http:
            assert (await http.get("https://ims.test/")).status_code == 404


async def test_plain_http_goes_by_whole_addresses(tmp_path: Path) -> None:
    async def hello(request: object) -> Response:
        return Response(b"hello")

    async with serve(Starlette(routes=[Route("/x", hello)])) as url, forward_proxy(ims=port(url)) as proxy:
        os.environ["HTTP_PROXY"] = proxy.url
        async with outbound_client() as http:
            assert (await http.get("http://ims.test/x")).text == "hello"
        assert proxy.asked == ["GET ims.test"]


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_without_an_end_does_not_fill_the_memory(compressed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "ANSWER_BYTES", 1 << 20)
    sent = [0]

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent[0] += 1 << 16
            yield b" " * (1 << 16)
            await asyncio.sleep(0)  # or nobody else has a turn

    async def answer(request: object) -> Response:
        return StreamingResponse(endless(), headers={"Content-Encoding": "gzip"} if compressed else {})

    async with serve(Starlette(routes=[Route("/v1", answer)])) as url, calls_client() as http:
        with pytest.raises(UnreachableError, match="compressed" if compressed else "more than 1 MiB"):
            await ImsClient(url, None, http).call("GET", "/v1")
    assert sent[0] < 64 << 20


@pytest.fixture
async def far_registry(certificates: Path, tmp_path: Path, http: httpx.AsyncClient) -> AsyncIterator[RegistryServer]:
    (tmp_path / "far").mkdir()
    async with built_in_registry(tmp_path / "far", http, certificates) as server:
        yield server


async def test_artifacts_are_copied_through_the_proxy_and_to_a_registry_that_is_near_without_it(
    far_registry: RegistryServer, customer: RegistryServer, certificates: Path, tmp_path: Path
) -> None:
    """The lanes of a copy, too, whose threads know nothing of httpx: each blob that moves asks for a way by the proxy."""
    async with forward_proxy(registry=port(far_registry.url)) as proxy:
        behind(proxy, certificates, tmp_path)
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.0/8"
        async with outbound_client() as http:
            far = RegistryClient("https://registry.test", WRITER, http, retry=IMPATIENT)
            near = RegistryClient(customer.url, WRITER, http, retry=IMPATIENT)
            made = await image(far, "acme/app")
            digest = made["digest"]
            report = await copy_artifact(far, near, source_repository="acme/app", target_repository="app", digest=digest)
            assert report.copied_bytes > 0
            assert (await near.get_manifest("app", digest)).digest == digest
            back = await copy_artifact(near, far, source_repository="app", target_repository="acme/again", digest=digest)
            assert back.copied_bytes + back.skipped_bytes > 0
            assert (await far.get_manifest("acme/again", digest)).digest == digest
    assert set(proxy.asked) == {"CONNECT registry.test"}


async def test_the_threads_of_a_copy_trust_the_authority_without_a_proxy(
    far_registry: RegistryServer, customer: RegistryServer, certificates: Path, tmp_path: Path
) -> None:
    settle_environment(os.environ, certificates / "ca.pem", tmp_path / "home")
    async with outbound_client() as http:
        far, near = (RegistryClient(url, WRITER, http, retry=IMPATIENT) for url in (far_registry.url, customer.url))
        digest = (await image(far, "acme/app"))["digest"]
        report = await copy_artifact(far, near, source_repository="acme/app", target_repository="app", digest=digest)
    assert report.copied_bytes > 0


def make_repository(folder: Path, tree: Path) -> str:
    """A repository as any web server has it, without git on its side; gives its commit."""
    env = {**os.environ, "GIT_DIR": str(folder), "GIT_WORK_TREE": str(tree)}
    commit = ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x", "--allow-empty"]
    for command in (["init", "-q"], commit, ["update-server-info"]):
        subprocess.run(["git", *command], env=env, check=True)
    return subprocess.check_output(["git", "rev-parse", "HEAD"], env=env, text=True).strip()


@pytest.mark.service
async def test_git_goes_through_the_proxy(certificates: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    commit_hash = make_repository(origin, tmp_path)
    app = Starlette(routes=[Mount("/repo.git", StaticFiles(directory=origin))])
    async with serve(app, certificates) as url, forward_proxy(git=port(url)) as proxy:
        behind(proxy, certificates, tmp_path)
        source = GitSource(url="https://git.test/repo.git", ref=commit_hash)
        commit = await check_out(source, tmp_path / "checkout", os.environ)
    assert commit.hash == commit_hash
    assert set(proxy.asked) == {"CONNECT git.test"}


async def test_the_libraries_of_the_clouds_go_through_the_proxy(certificates: Path, tmp_path: Path) -> None:
    boto3, requests = pytest.importorskip("boto3"), pytest.importorskip("requests")
    said = "<GetCallerIdentityResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><GetCallerIdentityResult>"
    said += "<Arn>arn:aws:iam::1:role/x</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"

    async def answer(request: object) -> Response:
        return Response(said, media_type="text/xml")

    def ask_aws() -> str:
        key = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        client = boto3.client("sts", endpoint_url="https://cloud.test", region_name="eu-west-1", **key)
        return str(client.get_caller_identity()["Arn"])

    def ask_google() -> int:
        from google.auth.transport.requests import Request  # as agent/install/registries.py

        with requests.Session() as session:
            return int(Request(session)(url="https://cloud.test/", method="POST").status)

    app = Starlette(routes=[Route("/", answer, methods=["POST"])])
    async with serve(app, certificates) as url, forward_proxy(cloud=port(url)) as proxy:
        behind(proxy, certificates, tmp_path)
        assert await asyncio.to_thread(ask_aws) == "arn:aws:iam::1:role/x"
        assert await asyncio.to_thread(ask_google) == 200
    assert proxy.asked == ["CONNECT cloud.test"] * 2


@pytest.mark.e2e
async def test_an_agents_process_works_through_the_proxy(ims: AgentProtocolServer, certificates: Path, tmp_path: Path) -> None:
    writer = tmp_path / "writer.json"
    writer.write_text('{"url": "https://registry.test", "username": "u", "password": "p"}')
    command = [sys.executable, "-c", "from agent.cli import agent_command; agent_command()", "install", "--url"]
    command += ["https://ims.test", "--home", str(tmp_path / "home"), "--registry-credentials", str(writer)]
    async with forward_proxy(ims=port(ims.url)) as proxy:
        env = {"EXCLAVE_AGENT_TOKEN": TOKEN, "HTTPS_PROXY": proxy.url, "EXCLAVE_CA_FILE": str(certificates / "ca.pem")}
        agent = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        await ims.until(lambda: ims.leases > 0)
        agent.terminate()
        _, complained = await agent.communicate()
    assert agent.returncode == 0, complained
    assert set(proxy.asked) == {"CONNECT ims.test"}


async def test_a_file_of_authorities_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for file in (tmp_path / "ca.pem", tmp_path / "none.pem"):
        with pytest.raises(OutboundError, match=r"--ca-file .*; give a PEM file"):
            settle_environment(os.environ, file, tmp_path / "home")
    os.environ["SSL_CERT_FILE"] = str(tmp_path / "none.pem")
    with pytest.raises(OutboundError, match="SSL_CERT_FILE="):
        tls()


def test_what_the_user_has_set_stays(certificates: Path, tmp_path: Path) -> None:
    env = {"AWS_CA_BUNDLE": "/theirs.pem", "HTTPS_PROXY": "http://p", "NO_PROXY": "x"}
    settle_environment(env, certificates / "ca.pem", tmp_path / "home")
    assert env["AWS_CA_BUNDLE"] == "/theirs.pem"
    assert env["GIT_SSL_CAINFO"] == env["SSL_CERT_FILE"] == str(tmp_path / "home" / "authorities.pem")
    assert env["https_proxy"] == "http://p"
    assert env["no_proxy"] == "x"


def test_a_command_beside_a_running_agent_leaves_its_authorities_as_they_are(certificates: Path, tmp_path: Path) -> None:
    """Both wrote the file at once, and one of them found its half gone."""
    file = tmp_path / "home" / "authorities.pem"
    settle_environment({}, certificates / "ca.pem", tmp_path / "home")
    first = file.stat().st_ino
    settle_environment({}, certificates / "ca.pem", tmp_path / "home")
    assert file.stat().st_ino == first
