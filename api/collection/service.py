"""Which artifacts of the built-in registry are in use (`in-use-stays`).

A build stays as long as a release has it, an install runs it, a deploy that isn't over will use it, or a new release would use
it again instead of building anew. A build's tag is its id: once nothing needs the build, its tag protects nothing any more.
What has another tag stays. Repositories of builds that are queued or running are left alone.
"""

from collections.abc import Awaitable, Callable

from sqlmodel import col, select

from api.apps.models import AppRow
from api.builds import service as builds
from api.builds.models import BuildRow
from api.components.models import ComponentConfigRow, ComponentRow
from api.db.database import Database
from api.db.transaction import Read, Write
from api.deploys.models import DeployRow, StepRow
from api.installs.models import InstalledComponentRow
from api.registry.collect import Collected, Needs
from api.releases.models import ReleaseBuildRow, ReleaseRow

_OBJECT = "registry"


def needs(tx: Read) -> Needs:
    """All that must stay, at this moment."""
    needed = _builds_of_releases(tx) | _usable_builds(tx)
    digests = set(tx.session.exec(select(InstalledComponentRow.digest)))
    digests |= set(
        tx.session.exec(
            select(StepRow.digest)
            .join(DeployRow, col(DeployRow.id) == col(StepRow.deploy_id))
            .where(col(DeployRow.ended_at).is_(None))
        )
    )
    retired = set()
    for build in tx.all(select(BuildRow)):
        if build.id not in needed and build.status not in ("queued", "running"):
            retired.add(build.id)
        elif build.artifact is not None:
            digests.add(build.artifact.digest)
    return Needs(frozenset(digests), _busy(tx), frozenset(retired), manifests_go=True)


def _builds_of_releases(tx: Read) -> set[str]:
    """Of releases that can be deployed, and of those that a deploy which isn't over brings."""
    under_way = select(DeployRow.release_id).where(col(DeployRow.ended_at).is_(None), col(DeployRow.release_id).is_not(None))
    query = (
        select(ReleaseBuildRow.build_id)
        .join(ReleaseRow, col(ReleaseRow.id) == col(ReleaseBuildRow.release_id))
        .where(col(ReleaseRow.deleted_at).is_(None) | col(ReleaseRow.id).in_(under_way))
    )
    return set(tx.session.exec(query))


def _usable_builds(tx: Read) -> set[str]:
    """What `builds.build_for` would use again: of components that are still there."""
    configs = tx.all(
        select(ComponentConfigRow)
        .join(ComponentRow, col(ComponentRow.id) == col(ComponentConfigRow.component_id))
        .where(col(ComponentRow.deleted_at).is_(None))
    )
    return {row.id for row in builds.usable(tx, configs).values()}


def _busy(tx: Read) -> frozenset[str]:
    query = (
        select(AppRow.name, ComponentRow.name)
        .join(ComponentRow, col(ComponentRow.app_id) == col(AppRow.id))
        .join(BuildRow, col(BuildRow.component_id) == col(ComponentRow.id))
        .where(col(BuildRow.status).in_(("queued", "running")))
    )
    return frozenset(builds.repository(app, component) for app, component in tx.session.exec(query))


def record(tx: Write, collected: Collected) -> None:
    """Tell the history."""
    removed = [f"{repository}@{digest}" for repository, digest in collected.manifests]
    after = {"manifests": removed, "blobs": len(collected.blobs), "freed_bytes": collected.freed}
    tx.emit("registry.collected", _OBJECT, after=after)


def recorder(db: Database) -> Callable[[Collected], Awaitable[None]]:
    """What `RegistryCare.run` tells of its collections: those that removed nothing aren't worth a line."""

    async def tell(collected: Collected) -> None:
        if collected.manifests or collected.blobs or collected.freed:
            await db.write("system", record, collected)

    return tell
