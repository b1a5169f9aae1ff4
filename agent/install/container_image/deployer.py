"""An image in the customer's registry: its plan is the tag that it gets there, and its outputs say where it is."""

import json
from typing import Literal

from agent.cancellation import unless_cancelled
from agent.install.container_image.place import ImagePlace, tag_of
from agent.install.deployer import Planned, Task
from agent.install.workspace import StoredOutput, StoredOutputs
from agent.oci.signature import verify
from agent.policy.planned import PlannedObjects, whole
from api.contract.base import Json
from api.contract.resources import PlannedChange, PlanSummary


class ImageDeployer:
    """Deploys images, copied or built. See `agent.install.deployer.Deployer`."""

    def recover(self, task: Task) -> None:
        """Nothing is left behind: the registry has a tag, or hasn't."""

    def deployed(self, task: Task) -> bool:
        """Whether others have been told of the image."""
        return task.workspace.outputs() is not None

    async def plan(self, task: Task) -> Planned:
        """Say where the image will be."""
        place = await unless_cancelled(_verified(task), task.context.cancellation)
        after = _outputs(place)
        task.saved.file.write_text(json.dumps(after, sort_keys=True))
        before = task.site.components.outputs(task.job.component) or {}
        if task.destroys:
            summary = PlanSummary(destroy=1, resources=[PlannedChange(address="image", actions=["delete"])])
            return Planned(summary, objects=whole(task.job.component, task.job.config.kind, "delete"))
        changed = sorted(name for name in after if before.get(name) != after[name])
        if not changed:
            return Planned(PlanSummary(), objects=PlannedObjects())
        action: Literal["create", "update"] = "update" if before else "create"
        change = PlannedChange(address="image", actions=[action], attributes=changed)
        summary = PlanSummary(add=int(not before), change=int(bool(before)), resources=[change], outputs_change=True)
        return Planned(summary, objects=whole(task.job.component, task.job.config.kind, action))

    async def apply(self, task: Task) -> StoredOutputs:
        """Give the image its planned tag in the customer's registry."""
        planned: dict[str, Json] = json.loads(task.saved.file.read_bytes())
        place = await unless_cancelled(_verified(task), task.context.cancellation)
        registry = await task.site.registry.client()
        if await registry.manifest_digest(place.path, str(planned["tag"])) != place.digest:
            # Where tags are immutable, one may not be written again, not even as it is.
            manifest = await registry.get_manifest(place.path, place.digest)
            await registry.put_manifest(place.path, str(planned["tag"]), manifest.data, manifest.media_type)
        task.context.log(f"{planned['repository']}:{planned['tag']} is {place.digest}")
        return StoredOutputs(outputs={name: StoredOutput(value=value, sensitive=False) for name, value in planned.items()})

    async def destroy(self, task: Task) -> None:
        """Forget the image. It stays in the registry, where others may run it, until the customer removes it."""


async def _verified(task: Task) -> ImagePlace:
    """Where the image is, signed by the vendor."""
    job, site = task.job, task.site
    registry = await site.registry.client()
    path = site.registry.repository(job.repository)
    place = ImagePlace(site.registry.writer.url, path, tag_of(job.config, job.digest), job.digest)
    await verify(registry, place.path, job.digest, site.vendor_keys)
    return place


def _outputs(place: ImagePlace) -> dict[str, str]:
    return {"digest": place.digest, "repository": place.repository, "tag": place.tag, "uri": place.uri}
