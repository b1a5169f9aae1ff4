"""Where the agent's cluster is, and how the agent signs in: a kubeconfig that the customer names, or the pod's own identity.

The user's own ~/.kube/config is not looked at: an agent must not find a cluster that nobody meant it to have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.kubernetes.errors import NoClusterError
from agent.kubernetes.login import ClusterAccess, Login

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class ClusterSettings:
    """What the customer says of the cluster. Read again for each job, so that renewed credentials are found."""

    kubeconfig: str | None
    context: str | None
    env: Mapping[str, str]
    service_account: Path = SERVICE_ACCOUNT

    @classmethod
    def given(cls, kubeconfig: Path | None, context: str | None, env: Mapping[str, str]) -> "ClusterSettings":
        """By the options `--kubeconfig` and `--kube-context`, or else KUBECONFIG."""
        return cls(str(kubeconfig) if kubeconfig else env.get("KUBECONFIG") or None, context, env)

    @property
    def in_cluster(self) -> bool:
        """Whether the agent's pod is to sign in as itself."""
        return self.kubeconfig is None and "KUBERNETES_SERVICE_HOST" in self.env

    @property
    def given_any(self) -> bool:
        """Whether there is any way to a cluster."""
        return self.kubeconfig is not None or self.in_cluster

    def arguments(self) -> list[str]:
        """What `helm` and `kubectl` are told, so that they use the same cluster as the same user; see `environment`."""
        return ["--kube-context", self.context] if self.context and self.kubeconfig else []

    def environment(self) -> dict[str, str]:
        """The variables that go with `arguments`. In a pod, both programs find the service account by themselves."""
        if self.kubeconfig:
            return {"KUBECONFIG": self.kubeconfig}
        names = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
        return {name: self.env[name] for name in names if name in self.env} | {"KUBECONFIG": ""}

    def access(self) -> ClusterAccess:
        """The cluster. Blocks; raises NoClusterError."""
        if self.kubeconfig is not None:
            from agent.kubernetes.kubeconfig import read_kubeconfig  # with a reader of YAML, for which others have no use

            return read_kubeconfig(self.kubeconfig, self.context, self.env)
        if not self.in_cluster:
            raise NoClusterError("the agent has no cluster")
        return self._in_cluster()

    def _in_cluster(self) -> ClusterAccess:
        """The pod's service account ("Accessing the Kubernetes API from a Pod"). Its token is renewed in its file."""
        folder = self.service_account
        host, port = self.env["KUBERNETES_SERVICE_HOST"], self.env.get("KUBERNETES_SERVICE_PORT", "443")

        async def login(_: bool) -> Login:
            return Login(token=_read(folder / "token").strip())

        return ClusterAccess(
            server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
            namespace=_read(folder / "namespace").strip(),
            login=login,
            authority=_read(folder / "ca.crt"),
        )


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise NoClusterError(
            f"the pod's service account can't be read: {file}: {error.strerror}",
            remedy="Let the pod mount its service account's token (automountServiceAccountToken).",
        ) from None
