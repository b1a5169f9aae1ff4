"""What a component has in the cluster, kept there: it outlives the agent's disk.

One ConfigMap for each component, in the agent's own namespace: whatever namespaces the component has, or makes, or removes. It
lists every object that may be there: new ones before the first of them is made, old ones until the last is gone.
"""

import hashlib
import json
import re
from collections.abc import Iterable

from agent.failure import CodedError
from agent.install.kubernetes_manifest.fields import MANAGER
from agent.kubernetes.client import KubernetesClient
from agent.kubernetes.objects import Obj, Ref, metadata

OWNER = "exclave.dev/component"
"""The annotation of every object that the agent applies: whose it is."""


class InventoryUnreadableError(CodedError):
    """Somebody has changed the inventory into what can't be read."""

    code = "inventory_unreadable"
    remedy = "Put it back from a backup; or delete it, and remove by hand what the component no longer has."


class Inventory:
    """The objects of one component of one install."""

    def __init__(self, client: KubernetesClient, install_id: str, component: str) -> None:
        self.owner = f"{install_id}/{component}"
        readable = re.sub(r"[^a-z0-9-]+", "-", component.lower()).strip("-")
        digest = hashlib.sha256(self.owner.encode()).hexdigest()[:10]
        self._client = client
        self._ref = Ref("v1", "ConfigMap", client.access.namespace, f"exclave-inventory-{readable}-{digest}")

    async def read(self) -> list[Ref]:
        """What may be there; nothing if there is no inventory. Raises InventoryUnreadableError."""
        found = await self._client.get(self._ref)
        if found is None:
            return []
        try:
            return [Ref(*each) for each in json.loads((found.get("data") or {})["objects"])]
        except (KeyError, ValueError, TypeError):
            raise InventoryUnreadableError(f"{self._ref} doesn't list the objects of {self.owner}") from None

    async def write(self, refs: Iterable[Ref]) -> None:
        """Replace it."""
        listed = sorted({ref.identity: ref for ref in refs}.values())
        obj: Obj = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self._ref.name,
                "namespace": self._ref.namespace,
                "labels": {"app.kubernetes.io/managed-by": MANAGER},
                "annotations": {OWNER: self.owner},
            },
            "data": {"objects": json.dumps([[ref.api_version, ref.kind, ref.namespace, ref.name] for ref in listed])},
        }
        await self._client.apply(obj, MANAGER, force=True)

    async def remove(self) -> None:
        """Delete it, once nothing is left that it could list."""
        await self._client.delete(self._ref)

    def owns(self, obj: Obj) -> bool:
        """Whether a live object is this component's, and not meanwhile somebody else's."""
        return self.owner_of(obj) == self.owner

    @staticmethod
    def owner_of(obj: Obj) -> str | None:
        """Whose it is, if it is any component's."""
        found = (metadata(obj).get("annotations") or {}).get(OWNER)
        return str(found) if found else None
