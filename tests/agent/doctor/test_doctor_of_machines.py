"""What `exclave agent doctor` finds of the machine: room, engine, cluster, and who it is in a cloud."""

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from certificates import make_certificates
from patients import only
from registry_server import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.doctor import cloud, cluster, machine
from agent.kubernetes.access import ClusterSettings

pytestmark = pytest.mark.anyio


async def test_a_file_that_a_running_agent_removes_meanwhile_is_none_of_those_that_others_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    gone = tmp_path / "identity.json.new"
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter([gone]))
    assert [finding.status async for finding in machine.home(tmp_path)] == ["PASSED"]


async def test_room_on_the_disk_and_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\n")
    assert (await only(machine.room_in_memory(meminfo, tmp_path))).detail == "2048 MiB are free"
    (tmp_path / "memory.max").write_text(str(300 << 20))
    (tmp_path / "memory.current").write_text(str(100 << 20))
    assert (await only(machine.room_in_memory(meminfo, tmp_path))).status == "FAILED"
    (tmp_path / "memory.max").write_text("max")
    assert (await only(machine.room_in_memory(meminfo, tmp_path))).status == "PASSED"
    assert (await only(machine.room_in_memory(tmp_path / "none", tmp_path))).status == "SKIPPED"
    assert (await only(machine.disk(tmp_path / "not" / "yet"))).status == "PASSED"
    monkeypatch.setattr(machine, "DISK_MB", 1 << 40)
    assert (await only(machine.disk(tmp_path))).status == "FAILED"


async def test_an_engine_that_was_named_must_work_and_another_one_may_be_missing() -> None:
    assert (await only(machine.engine("/no/such/engine", os.environ))).status == "FAILED"
    assert (await only(machine.engine(None, {"PATH": "/none", "EXCLAVE_ENGINE": "/none"}))).status == "FAILED"


@dataclass
class FakeCluster:
    """GET /version, as the Kubernetes API answers it (https://kubernetes.io/docs/reference/kubernetes-api)."""

    status: int = 200
    asked: list[str | None] = field(default_factory=list)

    def app(self) -> Starlette:
        async def version(request: Request) -> Response:
            self.asked.append(request.headers.get("authorization"))
            return Response(json.dumps({"gitVersion": "v1.34.1"}), self.status)

        return Starlette(routes=[Route("/version", version)])


def kubeconfig(folder: Path, server: str, user: dict[str, object]) -> dict[str, str]:
    authority = base64.b64encode((folder / "tls" / "ca.pem").read_bytes()).decode()
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return {"KUBECONFIG": str(folder / "kubeconfig")}


async def test_a_cluster_by_kubeconfig_and_from_a_pod(tmp_path: Path) -> None:
    make_certificates(tmp_path / "tls", "127.0.0.1")
    fake = FakeCluster()
    async with serve(fake.app(), tmp_path / "tls") as url:
        env = kubeconfig(tmp_path, url, {"token": "canary"})
        by_file = ClusterSettings.given(None, None, env)
        good = await only(cluster.cluster(by_file))
        assert (good.status, good.detail) == ("PASSED", f"Kubernetes v1.34.1 at {url}")
        for name, content in (("token", "pods\n"), ("namespace", "exclave"), ("ca.crt", (tmp_path / "tls/ca.pem").read_text())):
            (tmp_path / name).write_text(content)
        host, port = url.removeprefix("https://").split(":")
        pod = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        assert (await only(cluster.cluster(ClusterSettings(None, None, pod, tmp_path)))).status == "PASSED"
        assert fake.asked == ["Bearer canary", "Bearer pods"]
        fake.status = 401
        assert (await only(cluster.cluster(by_file))).status == "FAILED"
    gone = await only(cluster.cluster(by_file))
    assert (gone.status, "canary" in gone.detail) == ("FAILED", False)
    (tmp_path / "kubeconfig").write_text("clusters: canary")
    broken = await only(cluster.cluster(by_file))
    assert (broken.status, "canary" in broken.detail) == ("FAILED", False)
    assert (await only(cluster.cluster(ClusterSettings.given(None, None, {})))).status == "SKIPPED"


async def test_who_the_agent_is_in_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for STS, of https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html."""
    pytest.importorskip("boto3")
    said = "<GetCallerIdentityResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><GetCallerIdentityResult>"
    said += "<Arn>arn:aws:sts::1:assumed-role/agent/x</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"

    async def answer(request: Request) -> Response:
        return Response(said, media_type="text/xml")

    assert (await only(cloud.aws({}, None))).status == "SKIPPED"
    async with serve(Starlette(routes=[Route("/", answer, methods=["POST"])])) as url:
        os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "canary", "AWS_ENDPOINT_URL_STS": url}
        good = await only(cloud.aws(os.environ, None))
        assert (good.status, good.detail) == ("PASSED", "arn:aws:sts::1:assumed-role/agent/x")
    gone = await only(cloud.aws(os.environ, None))
    assert (gone.status, "canary" in gone.detail) == ("FAILED", False)


async def test_who_the_agent_is_in_google_cloud(tmp_path: Path) -> None:
    pytest.importorskip("google.auth")
    assert (await only(cloud.google({}, None))).status == "SKIPPED"
    os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(tmp_path / "none.json")
    gone = await only(cloud.google(os.environ, None))
    assert gone.status == "FAILED"
    assert gone.remedy
