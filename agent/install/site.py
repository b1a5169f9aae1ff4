"""Everything of the customer's side that the install agent's jobs share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.engine.find import Engine, EngineName, find_engine
from agent.install.approvals import Approvals
from agent.install.registries import CustomerRegistry
from agent.install.workspace import Components
from agent.kubernetes.access import ClusterSettings
from agent.ledger.ledger import Ledger
from agent.policy.policy import Policy, PolicySource
from agent.secrets.resolve import Resolver
from agent.state.backend import EngineBackend
from agent.state.states import States
from agent.trust.store import TrustStore
from api.contract.agents import JobKind


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Site:
    """One install in the customer's account. `engine` is the configured program, or None to look for one.

    Terraform's state is in `states`, or in the customer's own `backend`.

    `policy` is the customer's as it was when the job at hand began (`under`). `policy_file` is where it is, if it isn't in the
    agent's home. `app_name` is the app of the install, as pinned at enrolment (see `agent.install.trusted`).
    """

    install_id: str
    app_name: str
    components: Components
    registry: CustomerRegistry
    vendor_keys: tuple[str, ...]
    engine: str | None
    env: Mapping[str, str]
    http: httpx.AsyncClient
    approvals: Approvals
    sealing_key: X25519PrivateKey | None = None
    resolver: Resolver | None = None
    states: States | None = None
    backend: EngineBackend | None = None
    policy_file: Path | None = None
    kubeconfig: Path | None = None
    kube_context: str | None = None
    policy: Policy = field(default_factory=Policy)
    clock: Callable[[], datetime] = _now
    _engines: dict[EngineName, Engine] = field(default_factory=dict, repr=False)

    @property
    def cluster(self) -> ClusterSettings:
        """The cluster that components run in, under the roles of the job at hand."""
        return ClusterSettings.given(self.kubeconfig, self.kube_context, self.env)

    @property
    def rules(self) -> PolicySource:
        """Where the customer's policy is read from."""
        return PolicySource(self.approvals.home, self.policy_file)

    @property
    def trust(self) -> TrustStore:
        """Whom the agent trusts by now, and what it was told not to run any more."""
        return TrustStore(self.approvals.home, self.vendor_keys)

    @property
    def ledger(self) -> Ledger:
        """What the agent has done."""
        return Ledger(self.approvals.home, self.clock)

    def under(self, policy: Policy, job: JobKind) -> "Site":
        """The same site for one job, under the policy of its beginning and with the roles that it gives to such a job.

        `vendor_keys` are those that are trusted by now. Blocks. Raises TrustFileError.
        """
        environment = {**self.env, **policy.environment(job)}
        return replace(self, policy=policy, env=environment, vendor_keys=self.trust.keys())

    def own_engine(self, made_with: EngineName) -> Engine:
        """The agent's own engine, for bundles that carry none; the one that they were made with, if there is a choice.

        Looked for once. Blocks; raises EngineNotFoundError.
        """
        if made_with not in self._engines:
            self._engines[made_with] = find_engine(self.engine, self.env, prefer=made_with)
        return self._engines[made_with]
