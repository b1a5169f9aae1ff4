"""Plan, apply and destroy Kubernetes manifests: the objects that were planned are what is applied, by server-side apply.

An apply first writes into the inventory what is to be there, then applies what comes first, waits until it is ready, and only
then removes what the component no longer has. Whatever it was that cut it off, the same job does again what was done, which
changes nothing, and goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import groupby

from agent.cancellation import unless_cancelled
from agent.install.deployer import Planned, Task
from agent.install.failures import PlanStaleError
from agent.install.kubernetes_manifest.artifact import fetch_manifests
from agent.install.kubernetes_manifest.fields import MANAGER, differences, fingerprint
from agent.install.kubernetes_manifest.inventory import Inventory
from agent.install.kubernetes_manifest.order import rank
from agent.install.kubernetes_manifest.outputs import outputs_of
from agent.install.kubernetes_manifest.planning import PlannedObject, Planner
from agent.install.kubernetes_manifest.render import render_objects
from agent.install.kubernetes_manifest.saved import SavedManifests, SavedObject, SavedRemoval, saved_ref
from agent.install.kubernetes_manifest.secrets import secret_values
from agent.install.workspace import StoredOutputs
from agent.kubernetes.at_once import some_at_once
from agent.kubernetes.client import KubernetesClient, connect
from agent.kubernetes.errors import UnknownKindError
from agent.kubernetes.health import workload_checks
from agent.kubernetes.objects import Obj, Ref
from agent.kubernetes.waiting import wait_gone, wait_ready
from agent.policy.planned import PlannedObjects, kubernetes_object
from api.contract.components import KubernetesManifestConfig
from api.contract.resources import PlannedChange, PlanSummary

_DEFINITION_SECONDS = 60.0
_SERVED_SECONDS = 20


class ManifestDeployer:
    """Deploys Kubernetes manifests. See `agent.install.deployer.Deployer`."""

    def recover(self, task: Task) -> None:
        """Nothing is left behind: what there is, is in the cluster."""

    def deployed(self, task: Task) -> bool:
        """Whether the component was ever applied, or may have been: only the cluster knows, if there is one."""
        return task.site.cluster.given_any or task.workspace.outputs() is not None

    async def plan(self, task: Task) -> Planned:
        """Save the objects to apply and to remove."""
        return await unless_cancelled(_plan(task), task.context.cancellation)

    async def apply(self, task: Task) -> StoredOutputs:
        """Apply the saved objects, wait until they are ready, and remove what was planned to go."""
        return await unless_cancelled(_apply(task), task.context.cancellation)

    async def destroy(self, task: Task) -> None:
        """Remove the saved objects, and wait until they are gone."""
        await unless_cancelled(_destroy(task), task.context.cancellation)


async def _plan(task: Task) -> Planned:
    config = _config(task)
    async with _connected(task) as (client, inventory):
        planner = Planner(client, inventory, config.namespace, config.force_conflicts)
        planned: list[PlannedObject] = []
        if not task.destroys:
            fetched = await fetch_manifests(task.job, task.site)
            inline = config.manifest is not None
            objects = await asyncio.to_thread(render_objects, fetched, task.scope, inline=inline)
            # Before the API server says anything of them.
            task.context.redactor.learn([*secret_values(objects)])
            planned = await planner.plan(objects)
            before = {each.ref: each.before for each in planned}
            task.checks.extend(await workload_checks(client, before, task.context.redactor.text))
        listed = await inventory.read()
        removals = await planner.removals(but=[each.ref for each in planned])
    saved = SavedManifests(
        objects=tuple(each.saved for each in planned if each.saved),
        removals=tuple(removals),
        inventory=tuple(saved_ref(ref) for ref in listed),
        force=config.force_conflicts,
        wait=config.wait,
        timeout=config.timeout,
        namespace=config.namespace,
    )
    task.saved.file.write_text(saved.model_dump_json())
    settled = {ref.identity for ref in listed} == {each.ref.identity for each in planned}
    unknown = not task.destroys and (task.workspace.outputs() is None or not settled)
    return Planned(
        _summary(planned, removals, outputs_change=unknown),
        [*secret_values(obj for each in planned for obj in (each.before, each.after))],
        _objects(planned, removals),
    )


async def _apply(task: Task) -> StoredOutputs:
    saved = SavedManifests.model_validate_json(task.saved.file.read_bytes())
    log = task.context.log
    async with _connected(task) as (client, inventory):
        await some_at_once(_check(client, each) for each in saved.objects)
        wanted = [each.ref for each in saved.objects]
        there = {ref.identity for ref in await inventory.read()}
        if not {ref.identity for ref in wanted} <= there:
            await inventory.write([*(each.ref for each in saved.inventory), *wanted])
        for of_rank in _by_rank(saved.objects):
            await some_at_once(_send(client, each, saved, task) for each in of_rank)
            await _serve(client, [each for each in of_rank if each.ref.kind == "CustomResourceDefinition"], task)
        if saved.wait:
            live = await wait_ready(client, wanted, saved.timeout, log)
        else:
            found = await some_at_once(client.get(ref) for ref in wanted)
            live = {ref: obj for ref, obj in zip(wanted, found, strict=True) if obj is not None}
        seen = {ref: live.get(ref) for ref in wanted}
        task.checks.extend(await workload_checks(client, seen, task.context.redactor.text))
        await _remove(client, saved.removals, saved.timeout, task)
        if {ref.identity for ref in await inventory.read()} != {ref.identity for ref in wanted}:
            await inventory.write(wanted)
    return outputs_of(saved.namespace, live.values())


async def _destroy(task: Task) -> None:
    saved = SavedManifests.model_validate_json(task.saved.file.read_bytes())
    async with _connected(task) as (client, inventory):
        await _remove(client, saved.removals, saved.timeout, task)
        await inventory.remove()


async def _send(client: KubernetesClient, each: SavedObject, saved: SavedManifests, task: Task) -> None:
    await client.apply(each.object, MANAGER, force=saved.force)
    task.context.log(f"applied {each.ref}")


async def _check(client: KubernetesClient, each: SavedObject) -> None:
    """Raises PlanStaleError unless the object is as it was planned against, or as this plan has made it already."""
    try:
        live = await client.get(each.ref)
    except UnknownKindError:
        live = None
    if _as_planned(each, live):
        return
    if live is None:
        raise PlanStaleError(f"{each.ref} was deleted since the plan was made")
    after = await client.apply(each.object, MANAGER, force=True, dry_run=True)
    if differences(live, after):
        raise PlanStaleError(f"{each.ref} was changed since the plan was made")


def _as_planned(saved: SavedObject, live: Obj | None) -> bool:
    if live is None or saved.before is None:
        return live is None and saved.before is None
    return fingerprint(live, saved.fields) == saved.before


async def _serve(client: KubernetesClient, definitions: list[SavedObject], task: Task) -> None:
    """Wait until the API server has the kinds that were just defined."""
    if not definitions:
        return
    await wait_ready(client, [each.ref for each in definitions], _DEFINITION_SECONDS, task.context.log)
    for each in definitions:
        spec = each.object["spec"]
        for version in spec["versions"]:
            if version.get("served", True):
                await _known(client, f"{spec['group']}/{version['name']}", spec["names"]["kind"])


async def _known(client: KubernetesClient, api_version: str, kind: str) -> None:
    """Discovery lags a little behind the condition `Established`."""
    for _ in range(_SERVED_SECONDS * 4):
        try:
            await client.resource(api_version, kind)
        except UnknownKindError:
            await asyncio.sleep(0.25)
        else:
            return
    await client.resource(api_version, kind)


async def _remove(client: KubernetesClient, removals: Iterable[SavedRemoval], timeout: float, task: Task) -> None:
    """Delete, rank by rank, and wait until each is gone with all that belongs to it. Raises DeletionStuckError."""
    for _, of_rank in groupby(removals, key=lambda each: rank(each.ref)):
        begun: list[Ref] = []
        for each in of_rank:
            if await _delete(client, each):
                task.context.log(f"deleting {each.ref}")
                begun.append(each.ref)
        await wait_gone(client, begun, timeout, task.context.log)


async def _delete(client: KubernetesClient, removal: SavedRemoval) -> bool:
    try:
        return await client.delete(removal.ref, uid=removal.uid, propagation="Foreground")
    except UnknownKindError:
        return False  # its definition is gone, and it with it


@asynccontextmanager
async def _connected(task: Task) -> AsyncIterator[tuple[KubernetesClient, Inventory]]:
    async with connect(task.site.cluster) as client:
        yield client, Inventory(client, task.job.install_id, task.job.component)


def _config(task: Task) -> KubernetesManifestConfig:
    if not isinstance(task.job.config, KubernetesManifestConfig):
        raise TypeError(f"{task.job.config.kind} is no Kubernetes manifest")
    return task.job.config


def _by_rank(objects: Iterable[SavedObject]) -> Iterable[list[SavedObject]]:
    return [list(of_rank) for _, of_rank in groupby(objects, key=lambda each: rank(each.ref))]


def _summary(planned: list[PlannedObject], removals: list[SavedRemoval], *, outputs_change: bool) -> PlanSummary:
    changes = [
        PlannedChange(address=str(each.ref), actions=[each.action], attributes=each.attributes)
        for each in planned
        if each.action is not None
    ]
    gone = [PlannedChange(address=str(each.ref), actions=["delete"]) for each in removals]
    return PlanSummary(
        add=sum(each.action == "create" for each in planned),
        change=sum(each.action in ("update", "import") for each in planned),
        destroy=len(gone),
        resources=[*changes, *gone],
        outputs_change=outputs_change,
    )


def _objects(planned: list[PlannedObject], removals: list[SavedRemoval]) -> PlannedObjects:
    """What the customer's rules judge."""
    touched = [
        kubernetes_object(each.ref.kind, each.ref.namespace, each.ref.name, each.action, before=each.before, after=each.after)
        for each in planned
        if each.action is not None
    ]
    gone = [kubernetes_object(each.kind, each.namespace, each.name, "delete") for each in removals]
    return PlannedObjects(objects=(*touched, *gone))
