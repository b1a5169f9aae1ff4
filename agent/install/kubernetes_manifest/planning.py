"""What an apply would do, asked of the API server itself: each object by a dry run of its server-side apply."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.failure import CodedError
from agent.install.kubernetes_manifest.fields import MANAGER, differences, fingerprint, owned
from agent.install.kubernetes_manifest.inventory import OWNER, Inventory
from agent.install.kubernetes_manifest.order import DEFINITIONS, rank
from agent.install.kubernetes_manifest.render import ManifestWrongError
from agent.install.kubernetes_manifest.saved import SavedObject, SavedRemoval
from agent.kubernetes.at_once import some_at_once
from agent.kubernetes.client import KubernetesClient
from agent.kubernetes.errors import ObjectRefusedError, UnknownKindError
from agent.kubernetes.objects import Obj, Ref, metadata
from agent.policy.planned import Action

Identity = tuple[str, str, str, str]


class OwnedByAnotherError(CodedError):
    """An object is another component's."""

    code = "owned_by_another"
    remedy = (
        "Let only one component have it: give it another name here, or take it out of the other one, and deploy that first."
    )


@dataclass(frozen=True)
class PlannedObject:
    """What would happen to one object. `action` None: nothing. `after` is None for what is removed."""

    ref: Ref
    action: Action | None
    attributes: list[str] = field(default_factory=list)
    before: Obj | None = None
    after: Obj | None = None
    saved: SavedObject | None = None


@dataclass(frozen=True)
class Planner:
    """Plans one component. `namespace` is that of objects that name none."""

    client: KubernetesClient
    inventory: Inventory
    namespace: str
    force: bool

    async def plan(self, objects: Sequence[Obj]) -> list[PlannedObject]:
        """What applying the objects would do, in the order of the apply.

        Raises FieldConflictError, ImmutableFieldError, OwnedByAnotherError, NamespaceMissingError, UnknownKindError,
        ManifestWrongError, and what else the API server refuses.
        """
        listed = await self.inventory.read()
        known = {ref.identity for ref in listed}
        defines = {_defined(obj): obj for obj in objects if obj.get("kind") == "CustomResourceDefinition"}
        placed = _in_order([await self._placed(obj, defines) for obj in objects])
        first = [obj for obj in placed if obj["kind"] in DEFINITIONS]
        planned = await self._all(first, known, _Coming())
        coming = _Coming(
            namespaces={each.ref.name for each in planned if each.ref.kind == "Namespace" and each.action == "create"},
            kinds={_defined(each.saved.object) for each in planned if each.saved and each.action and _is_definition(each)},
        )
        return [*planned, *await self._all([obj for obj in placed if obj["kind"] not in DEFINITIONS], known, coming)]

    async def removals(self, but: Iterable[Ref] = ()) -> list[SavedRemoval]:
        """What is in the inventory, still there and this component's, without `but`, in the order of its removal."""
        kept = {ref.identity for ref in but}
        left = [ref for ref in await self.inventory.read() if ref.identity not in kept]
        found = await some_at_once([self._removal(ref) for ref in left])
        return sorted((each for each in found if each is not None), key=lambda each: (-rank(each.ref), each.ref))

    async def _removal(self, ref: Ref) -> SavedRemoval | None:
        try:
            live = await self.client.get(ref)
        except UnknownKindError:
            return None  # the kind is gone, and all its objects with it
        if live is None or not self.inventory.owns(live):
            return None
        return SavedRemoval(
            api_version=ref.api_version, kind=ref.kind, namespace=ref.namespace, name=ref.name, uid=metadata(live)["uid"]
        )

    async def _placed(self, obj: Obj, defines: "dict[tuple[str, str], Obj]") -> Obj:
        """The object in its namespace, and marked as the component's."""
        ref = Ref.of(obj)
        definition = defines.get((ref.group, ref.kind))
        if definition is not None:
            namespaced = (definition.get("spec") or {}).get("scope") == "Namespaced"
        else:
            namespaced = (await self.client.resource(ref.api_version, ref.kind)).namespaced
        inside = {"namespace": ref.namespace or self.namespace} if namespaced else {}
        marks = {**(metadata(obj).get("annotations") or {}), OWNER: self.inventory.owner}
        kept = {name: value for name, value in metadata(obj).items() if name != "namespace"}
        return {**obj, "metadata": {**kept, **inside, "annotations": marks}}

    async def _all(self, objects: list[Obj], known: set[Identity], coming: "_Coming") -> list[PlannedObject]:
        return await some_at_once([self._one(obj, known, coming) for obj in objects])

    async def _one(self, obj: Obj, known: set[Identity], coming: "_Coming") -> PlannedObject:
        ref = Ref.of(obj)
        if ref.namespace in coming.namespaces:
            return _created(ref, obj)
        try:
            live = await self.client.get(ref)
        except UnknownKindError:
            if (ref.group, ref.kind) not in coming.kinds:
                raise
            return _created(ref, obj)
        if live is not None and (owner := self.inventory.owner_of(live)) not in (None, self.inventory.owner):
            raise OwnedByAnotherError(f"{ref} is the component {owner}'s")
        try:
            after = await self.client.apply(obj, MANAGER, force=self.force, dry_run=True)
        except ObjectRefusedError:
            if (ref.group, ref.kind) not in coming.kinds:
                raise
            # The definition that is there doesn't know it yet; the one that is applied before it may.
            after = None
        if live is None:
            return _created(ref, obj, after)
        fields = [owned(live), owned(after) if after else {}]
        saved = SavedObject(object=obj, before=fingerprint(live, fields), fields=fields)
        changed = differences(live, after or {**live, **obj})
        if changed:
            return PlannedObject(ref, "update", changed, live, after or obj, saved)
        adopted = ref.identity not in known or not owned(live)
        return PlannedObject(ref, "import" if adopted else None, [], live, after, saved)


@dataclass(frozen=True)
class _Coming:
    """Namespaces that aren't there yet, and kinds that aren't defined yet, or not as they will be."""

    namespaces: set[str] = field(default_factory=set)
    kinds: set[tuple[str, str]] = field(default_factory=set)


def _created(ref: Ref, obj: Obj, after: Obj | None = None) -> PlannedObject:
    saved = SavedObject(object=obj, before=None)
    return PlannedObject(ref, "create", differences({}, obj, depth=2), None, after or obj, saved)


def _is_definition(planned: PlannedObject) -> bool:
    return planned.ref.kind == "CustomResourceDefinition"


def _defined(definition: Obj) -> tuple[str, str]:
    """The group and kind that a CustomResourceDefinition defines."""
    spec = definition.get("spec") or {}
    return str(spec.get("group")), str((spec.get("names") or {}).get("kind"))


def _in_order(objects: list[Obj]) -> list[Obj]:
    """In the order of the apply; each object once. Raises ManifestWrongError."""
    found: dict[Identity, Obj] = {}
    for obj in objects:
        ref = Ref.of(obj)
        if ref.identity in found:
            raise ManifestWrongError(f"{ref} is there twice")
        found[ref.identity] = obj
    return sorted(found.values(), key=lambda obj: rank(Ref.of(obj)))
