"""How the agent finds its cluster, signs in, and says what went wrong; against an API server of the tests' own."""

import json
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from fake_kubernetes.server import TOKEN, FakeKubernetes

from agent.failure import CodedError
from agent.kubernetes.access import ClusterSettings
from agent.kubernetes.client import connect
from agent.kubernetes.errors import (
    ClusterForbiddenError,
    ClusterLoginError,
    ClusterUnreachableError,
    NoClusterError,
    ObjectChangedError,
    ObjectRefusedError,
)
from agent.kubernetes.objects import Ref

pytestmark = pytest.mark.anyio

CONF = Ref("v1", "ConfigMap", "default", "conf")
OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf", "namespace": "default"}, "data": {"a": "1"}}


@pytest.fixture
def kubernetes() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as running:
        yield running


def settings(kubeconfig: Path, context: str | None = None, **env: str) -> ClusterSettings:
    return ClusterSettings.given(kubeconfig, context, env)


async def version(given: ClusterSettings) -> str:
    async with connect(given) as client:
        return await client.version()


def edited(file: Path, **user: object) -> Path:
    """The kubeconfig with another user."""
    document = yaml.safe_load(file.read_text())
    document["users"][0]["user"] = user
    file.write_text(yaml.safe_dump(document))
    return file


async def test_a_token_and_a_client_certificate_sign_in(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    assert await version(settings(kubernetes.kubeconfig(tmp_path / "token"))) == "v1.34.0"
    assert await version(settings(kubernetes.kubeconfig(tmp_path / "certificate", user="exclave"))) == "v1.34.0"
    assert [asked.user for asked in kubernetes.requests] == ["agent", "exclave"]


async def test_a_token_file_is_read_again_for_each_call(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    config = edited(kubernetes.kubeconfig(tmp_path / "kubeconfig"), tokenFile="token")
    async with connect(settings(config)) as client:
        await client.version()
        kubernetes.tokens = {"renewed": "agent"}
        (tmp_path / "token").write_text("renewed\n")
        assert await client.version() == "v1.34.0"


async def test_a_pod_signs_in_as_its_service_account_and_reads_the_token_again(
    kubernetes: FakeKubernetes, tmp_path: Path
) -> None:
    for name, text in (("token", TOKEN), ("ca.crt", kubernetes.authority.pem), ("namespace", "exclave\n")):
        (tmp_path / name).write_text(text)
    host, port = kubernetes.url.removeprefix("https://").split(":")
    env = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    async with connect(ClusterSettings(None, None, env, service_account=tmp_path)) as client:
        assert client.access.namespace == "exclave"
        await client.version()
        kubernetes.tokens = {"renewed": "agent"}
        (tmp_path / "token").write_text("renewed")
        assert await client.version() == "v1.34.0"


def plugin(folder: Path, ends: datetime) -> Path:
    """An exec plugin that counts its runs, and gives another token each time."""
    program = folder / "plugin"
    program.write_text(
        f"""#!{sys.executable}
import json, os, pathlib
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert info["spec"]["cluster"]["server"].startswith("https://"), info
runs = pathlib.Path({str(folder / "runs")!r})
count = int(runs.read_text()) + 1 if runs.exists() else 1
runs.write_text(str(count))
status = {{"token": f"{{os.environ['PREFIX']}}-{{count}}", "expirationTimestamp": {ends.strftime("%Y-%m-%dT%H:%M:%SZ")!r}}}
print(json.dumps({{"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": status}}))
"""
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def by_plugin(kubernetes: FakeKubernetes, folder: Path, ends: datetime, **more: object) -> Path:
    plugin(folder, ends)
    config = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "provideClusterInfo": True}
    config |= {"env": [{"name": "PREFIX", "value": "token"}]}
    return edited(kubernetes.kubeconfig(folder / "kubeconfig"), exec={**config, **more})


@pytest.mark.service
async def test_a_plugins_token_is_kept_until_it_ends(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    kubernetes.tokens = {f"token-{count}": "agent" for count in (1, 2)}
    async with connect(settings(by_plugin(kubernetes, tmp_path, datetime.now(UTC) + timedelta(hours=1)))) as client:
        await client.version()
        await client.version()
        assert (tmp_path / "runs").read_text() == "1"
        kubernetes.tokens = {"token-2": "agent"}
        await client.version()
        assert (tmp_path / "runs").read_text() == "2", "a token that is refused is asked for anew, once"


@pytest.mark.service
async def test_a_plugin_that_fails_is_named_with_what_it_said(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    config = by_plugin(kubernetes, tmp_path, datetime.now(UTC))
    (tmp_path / "plugin").write_text("#!/bin/sh\necho a-token-of-the-cloud\necho session has ended >&2\nexit 3\n")
    with pytest.raises(ClusterLoginError, match="exit code 3: session has ended") as caught:
        await version(settings(config))
    assert "a-token" not in str(caught.value)


async def test_a_plugin_that_isnt_there_is_named_with_its_hint(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    more = {"command": "kubelogin-of-nobody", "installHint": "Install kubelogin."}
    with pytest.raises(NoClusterError, match="'kubelogin-of-nobody' isn't on the agent's machine") as caught:
        await version(settings(by_plugin(kubernetes, tmp_path, datetime.now(UTC), **more), PATH="/nonexistent"))
    assert caught.value.failure.remedy == "Install kubelogin."


async def test_the_contexts_of_several_files_are_merged(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    first, second = tmp_path / "first", kubernetes.kubeconfig(tmp_path / "second")
    first.write_text("apiVersion: v1\nkind: Config\ncontexts: [{name: other, context: {cluster: fake, user: agent}}]\n")
    given = ClusterSettings.given(None, "other", {"KUBECONFIG": f"{first}:{second}:{tmp_path / 'missing'}"})
    assert await version(given) == "v1.34.0"
    with pytest.raises(NoClusterError, match="has no context 'none'; it has: fake, other"):
        await version(ClusterSettings.given(None, "none", {"KUBECONFIG": f"{first}:{second}"}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("]", "isn't YAML"),
        ("[]", "is no kubeconfig"),
        ("{}", "has no current context"),
        ("{current-context: a, contexts: [{name: a, context: {cluster: b, user: c}}]}", "has no cluster 'b'; it has: none"),
        ("{contexts: [1]}", "contexts isn't a list"),
    ],
)
async def test_a_kubeconfig_that_cant_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(NoClusterError, match=said):
        await version(settings(tmp_path / "kubeconfig"))


async def test_the_users_own_kubeconfig_is_never_found(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    kubernetes.kubeconfig(tmp_path / ".kube/config")
    with pytest.raises(NoClusterError):
        await version(ClusterSettings.given(None, None, {"HOME": str(tmp_path)}))


async def test_an_authority_that_isnt_the_clusters_is_refused(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    with FakeKubernetes() as other:
        document = yaml.safe_load(kubernetes.kubeconfig(tmp_path / "kubeconfig").read_text())
        document["clusters"][0]["cluster"]["server"] = other.url
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
        async with connect(settings(tmp_path / "kubeconfig")) as client:
            client.retry = type(client.retry)(tries=1)
            with pytest.raises(ClusterUnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.version()


async def test_credentials_that_arent_taken_are_an_error_of_their_own(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    kubernetes.tokens = {}
    with pytest.raises(ClusterLoginError, match="doesn't take the agent's credentials"):
        await version(settings(kubernetes.kubeconfig(tmp_path / "kubeconfig")))


async def test_a_server_that_fails_for_a_moment_is_asked_again(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    answers = iter([503, 0, None])
    kubernetes.intercept = lambda asked: next(answers)
    async with connect(settings(kubernetes.kubeconfig(tmp_path / "kubeconfig"))) as client:
        client.retry = type(client.retry)(tries=4, first_wait=0.01)
        assert await client.version() == "v1.34.0"


async def test_objects_are_applied_read_listed_and_deleted(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    async with connect(settings(kubernetes.kubeconfig(tmp_path / "kubeconfig"))) as client:
        assert await client.get(CONF) is None
        await client.apply(OBJECT, "exclave", dry_run=True)
        assert await client.get(CONF) is None
        made = await client.apply(OBJECT, "exclave")
        assert [
            each["metadata"]["name"] for each in await client.list("v1", "ConfigMap", "default", fields="metadata.name=conf")
        ]
        with pytest.raises(ObjectChangedError):
            await client.delete(CONF, uid="another")
        assert await client.delete(CONF, uid=made["metadata"]["uid"])
        assert not await client.delete(CONF)
        assert await client.may("create", "apps", "deployments", "default")


async def test_an_error_names_the_field_and_not_its_value(kubernetes: FakeKubernetes, tmp_path: Path) -> None:
    secret = "hunter2-of-the-vendor"
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}}
    obj |= {"spec": {"selector": {"matchLabels": {"app": secret}}, "template": {"spec": {"containers": []}}}}
    async with connect(settings(kubernetes.kubeconfig(tmp_path / "kubeconfig"))) as client:
        with pytest.raises(ObjectRefusedError, match=r"spec\.template\.spec\.containers: Required value") as caught:
            await client.apply(obj, "exclave")
    assert secret not in json.dumps(caught.value.failure.model_dump())


async def test_what_is_forbidden_at_the_clusters_scope_asks_for_a_cluster_role(
    kubernetes: FakeKubernetes, tmp_path: Path
) -> None:
    kubernetes.denied = lambda asked: asked.resource == "namespaces"
    async with connect(settings(kubernetes.kubeconfig(tmp_path / "kubeconfig"))) as client:
        with pytest.raises(ClusterForbiddenError, match="may not get namespaces in the whole cluster") as caught:
            await client.get(Ref("v1", "Namespace", "", "shop"))
        assert "ClusterRole" in caught.value.failure.remedy
        assert not isinstance(caught.value, CodedError) or not caught.value.failure.retryable
