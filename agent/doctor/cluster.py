"""The customer's cluster, if this machine has a way to one: an authenticated GET /version.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig and
https://kubernetes.io/docs/tasks/run-application/access-api-from-pod.
"""

import base64
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from agent.doctor.check import Finding, failed, passed, skipped
from agent.outbound import Proxies

IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECONDS = 10.0


class _NotUsableError(Exception):
    """The way to the cluster can't be used by the doctor. The text says why."""


@dataclass(frozen=True)
class _Way:
    """An API server, and who the agent is there."""

    server: str
    source: str
    authorities: str | None = None
    token: str | None = field(default=None, repr=False)
    pair: tuple[str, str] | None = field(default=None, repr=False)
    """Certificate and key of the client, as PEM."""


async def cluster(env: Mapping[str, str], account: Path = IN_CLUSTER) -> AsyncIterator[Finding]:
    """The API server takes the identity that kubectl or a pod would use. Failed only where one is configured."""
    try:
        way = _in_cluster(env, account) or _by_kubeconfig(env)
    except _NotUsableError as error:
        yield skipped("cluster", str(error), "Check it with `kubectl version`.")
        return
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        yield failed("cluster", f"the kubeconfig can't be read: {type(error).__name__}", "Check it with `kubectl version`.")
        return
    if way is None:
        yield skipped("cluster", "no kubeconfig and no service account; only kinds that need a cluster need one")
        return
    try:
        version = await _version(way, env)
    except (httpx.TransportError, httpx.InvalidURL, OSError) as error:
        remedy = "Check the address and the authority in it, and that this machine may reach the cluster's API."
        yield failed("cluster", f"{way.server} ({way.source}): {str(error) or type(error).__name__}", remedy)
        return
    if isinstance(version, int):
        remedy = "Give the agent a token or a certificate that the cluster takes; tokens end, and accounts are removed."
        yield failed("cluster", f"{way.server} ({way.source}) answers {version}", remedy)
    else:
        yield passed("cluster", f"Kubernetes {version} at {way.server} ({way.source})")


def _in_cluster(env: Mapping[str, str], account: Path) -> _Way | None:
    host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT", "443")
    token = account / "token"
    if not host or not token.exists():
        return None
    address = f"[{host}]" if ":" in host else host
    authorities = (account / "ca.crt").read_text()
    return _Way(f"https://{address}:{port}", "service account", authorities, token.read_text().strip())


def _by_kubeconfig(env: Mapping[str, str]) -> _Way | None:
    """The current context of the first kubeconfig that is there."""
    default = str(Path(env.get("HOME", "/nonexistent")) / ".kube" / "config")
    files = [Path(name) for name in (env.get("KUBECONFIG") or default).split(":") if name]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        if env.get("KUBECONFIG"):
            raise FileNotFoundError(env["KUBECONFIG"])
        return None
    config = yaml.safe_load(file.read_text())
    context = _named(config["contexts"], config["current-context"])["context"]
    there = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"]
    if "exec" in user or "auth-provider" in user:
        raise _NotUsableError(f"{file}: a program gives the identity, which the doctor doesn't start")
    certificate, key = _text(user, "client-certificate", file), _text(user, "client-key", file)
    token = user.get("token") or (Path(user["tokenFile"]).read_text().strip() if "tokenFile" in user else None)
    pair = (certificate, key) if certificate and key else None
    return _Way(there["server"].rstrip("/"), str(file), _text(there, "certificate-authority", file), token, pair)


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in [*entries, {"name": name}] if entry["name"] == name)


def _text(of: dict[str, Any], name: str, config: Path) -> str | None:
    """A file that a kubeconfig names, relative to itself, or has in it."""
    if f"{name}-data" in of:
        return base64.b64decode(of[f"{name}-data"]).decode()
    return (config.parent / of[name]).read_text() if name in of else None


async def _version(way: _Way, env: Mapping[str, str]) -> str | int:
    """What the API server calls itself, or the status with which it refuses."""
    context = ssl.create_default_context(cadata=way.authorities)
    if way.pair is not None:
        with tempfile.NamedTemporaryFile("w") as both:  # of mode 0600; Python reads a client's key from a file alone
            both.write("\n".join(way.pair))
            both.flush()
            context.load_cert_chain(both.name)
    headers = {"Authorization": f"Bearer {way.token}"} if way.token else {}
    url = httpx.URL(f"{way.server}/version")
    by = Proxies.of_environment(env).to(url)
    async with httpx.AsyncClient(verify=context, trust_env=False, proxy=by, timeout=_SECONDS) as http:
        response = await http.get(url, headers=headers)
    if response.status_code != 200:
        return response.status_code
    try:
        return str(response.json()["gitVersion"])
    except (ValueError, KeyError, TypeError):
        return response.status_code
