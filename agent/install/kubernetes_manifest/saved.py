"""What a plan saves: the exact objects to apply and to remove, and what they were planned against (`saved-plan`)."""

from pydantic import Field

from agent.install.kubernetes_manifest.fields import Fields
from agent.kubernetes.objects import Obj, Ref
from api.contract.base import Model


class SavedObject(Model):
    """An object as it will be sent. `before` is the fingerprint of `fields` in the live object; None: there was none.

    `fields` are those that are ours, before and after.
    """

    object: Obj
    before: str | None
    fields: list[Fields] = Field(default_factory=list)

    @property
    def ref(self) -> Ref:
        """The object's name."""
        return Ref.of(self.object)


class SavedRef(Model):
    """A name, to keep."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def ref(self) -> Ref:
        """The name."""
        return Ref(self.api_version, self.kind, self.namespace, self.name)


class SavedRemoval(SavedRef):
    """An object to delete, if it still is the one with this uid."""

    uid: str


class SavedManifests(Model):
    """A plan. `objects` are in the order of the apply, `removals` in theirs. `timeout` is in seconds."""

    objects: tuple[SavedObject, ...] = ()
    removals: tuple[SavedRemoval, ...] = ()
    inventory: tuple[SavedRef, ...] = ()
    force: bool = False
    wait: bool = True
    timeout: int
    namespace: str


def saved_ref(ref: Ref) -> SavedRef:
    """A name as it is kept."""
    return SavedRef(api_version=ref.api_version, kind=ref.kind, namespace=ref.namespace, name=ref.name)
