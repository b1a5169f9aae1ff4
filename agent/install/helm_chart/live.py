"""The objects of a release in the cluster: as they are, and as they would be."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.failure import JobFailedError
from agent.kubernetes.client import KubernetesClient
from agent.kubernetes.errors import ClusterForbiddenError, UnknownKindError
from agent.kubernetes.objects import Obj, Ref
from agent.oci.concurrency import run_all

MANAGER = "helm"
"""The field manager that helm writes as."""

_AT_ONCE = 8


@dataclass(frozen=True)
class Live:
    """An object in the cluster as it is, and as it would be after an apply; None = it isn't there, or the server can't tell."""

    now: Obj | None
    then: Obj | None = None


async def placed(client: KubernetesClient, objects: Iterable[Obj], namespace: str) -> dict[Ref, Obj]:
    """The objects by name, each in its namespace: the release's, unless it says another or is of a kind without."""
    found: dict[Ref, Obj] = {}
    for obj in objects:
        own = Ref.of(obj)
        try:
            namespaced = (await client.resource(own.api_version, own.kind)).namespaced
        except UnknownKindError:
            namespaced = True
        where = (own.namespace or namespace) if namespaced else ""
        found[Ref(own.api_version, own.kind, where, own.name)] = obj
    return found


async def look(
    client: KubernetesClient, before: Mapping[Ref, Obj], after: Mapping[Ref, Obj], release: str, namespace: str
) -> dict[Ref, Live]:
    """All objects of two renderings as they are live; those of `after` also as an apply would leave them.

    The server says itself what an apply would leave, by a dry run: it writes some things in its own way, such as `1` for
    `1000m`. Where it refuses to try, only the renderings are compared.
    """
    found: dict[Ref, Live] = {}
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(ref: Ref) -> None:
        async with at_once:
            try:
                now = await client.get(ref) if ref.name else None  # one that the server names is always new
            except UnknownKindError:
                now = None
            tried = await _tried(client, ref, after[ref], release, namespace) if now and ref in after else None
            found[ref] = Live(now, tried)

    await run_all([one(ref) for ref in sorted({*before, *after})])
    return found


async def _tried(client: KubernetesClient, ref: Ref, obj: Obj, release: str, namespace: str) -> Obj | None:
    metadata = dict(obj["metadata"])
    metadata["labels"] = {**(metadata.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        "meta.helm.sh/release-name": release,
        "meta.helm.sh/release-namespace": namespace,
    }
    if ref.namespace:
        metadata["namespace"] = ref.namespace
    try:
        return await client.apply({**obj, "metadata": metadata}, MANAGER, force=True, dry_run=True)
    except ClusterForbiddenError:
        raise
    except JobFailedError:
        return None
