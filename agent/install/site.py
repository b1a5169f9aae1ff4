"""Everything of the customer's side that the install agent's jobs share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.engine.find import Engine, EngineName, find_engine
from agent.install.approvals import Approvals
from agent.install.registries import CustomerRegistry
from agent.install.workspace import Components
from agent.kubernetes.access import ClusterSettings
from agent.secrets.resolve import Resolver


@dataclass(frozen=True)
class Site:
    """One install in the customer's account. `engine` is the configured program, or None to look for one."""

    install_id: str
    components: Components
    registry: CustomerRegistry
    vendor_keys: tuple[str, ...]
    engine: str | None
    env: Mapping[str, str]
    http: httpx.AsyncClient
    approvals: Approvals
    cluster: ClusterSettings | None = None
    sealing_key: X25519PrivateKey | None = None
    resolver: Resolver | None = None
    _engines: dict[EngineName, Engine] = field(default_factory=dict, init=False, repr=False)

    def own_engine(self, made_with: EngineName) -> Engine:
        """The agent's own engine, for bundles that carry none; the one that they were made with, if there is a choice.

        Looked for once. Blocks; raises EngineNotFoundError.
        """
        if made_with not in self._engines:
            self._engines[made_with] = find_engine(self.engine, self.env, prefer=made_with)
        return self._engines[made_with]
