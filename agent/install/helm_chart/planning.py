"""Make the plan of a chart: render it for the cluster, compare with what runs, and keep what was rendered."""

import asyncio
import base64
import json

from agent.durable import write_durably
from agent.install.deployer import Planned, Task
from agent.install.helm_chart.artifact import FetchedChart
from agent.install.helm_chart.changes import Change, count, of_hooks, of_objects, removed, run_with
from agent.install.helm_chart.live import look, placed
from agent.install.helm_chart.release_chart import release_chart
from agent.install.helm_chart.render import Facts, brings_kinds, render
from agent.install.helm_chart.rendering import Rendering, digest_of_objects
from agent.install.helm_chart.saved_release import SavedRelease
from agent.install.helm_chart.session import Session
from agent.install.helm_chart.stored_release import StoredRelease
from agent.install.helm_chart.values import render_values
from agent.install.kubernetes_manifest.render import ImageNotHereError
from agent.kubernetes.client import KubernetesClient
from agent.policy.planned import PlannedObjects
from api.contract.components import HelmChartConfig


async def rendered(task: Task, config: HelmChartConfig, chart: FetchedChart, at: Session) -> tuple[Rendering, SavedRelease]:
    """The chart rendered with the install's own images, and all that an apply of it takes."""
    task.context.log(f"{task.job.component}: rendering {chart.config.chart} {chart.config.version} with {at.runner.helm}")
    values = render_values(config.values, task.scope)
    own = task.workspace.work / "chart" / "values.json"
    await asyncio.to_thread(write_durably, own, json.dumps(values).encode())
    facts = await _facts(at.client) if at.last is None and await brings_kinds(config, chart) else None
    rendering = await render(at.runner, config, chart, [*chart.values, own], facts)
    rendering = await asyncio.to_thread(rendering.with_images, chart.config.images, chart.repository)
    if chart.config.closure == "strict":
        await asyncio.to_thread(_check_images, rendering, chart.repository.partition("/")[0])
    package = await asyncio.to_thread(lambda: release_chart(chart.package.read_bytes(), rendering))
    saved = SavedRelease(
        release=at.runner.release,
        namespace=at.runner.namespace,
        revision=at.revision,
        chart=base64.b64encode(package),
        objects=digest_of_objects([*rendering.objects(), *rendering.hooks()]),
        values=values,
        outputs=_outputs(at, chart),
        create_namespace=config.create_namespace,
        take_ownership=config.take_ownership,
        wait=config.wait,
        atomic=config.atomic,
        timeout=config.timeout,
    )
    return rendering, saved


def _outputs(at: Session, chart: FetchedChart) -> dict[str, str]:
    """The outputs (`agent.artifact.outputs.CHART_OUTPUTS`). The revision is none: it would change with every apply."""
    return {
        "app_version": chart.app_version,
        "chart_version": chart.config.version,
        "namespace": at.runner.namespace,
        "release_name": at.runner.release,
    }


def _check_images(rendering: Rendering, host: str) -> None:
    """`closure`: also of what only this cluster or an upgrade brings out. Raises ImageNotHereError."""
    for image in rendering.images():
        if image.sure and not image.name.startswith(f"{host}/"):
            raise ImageNotHereError(f"{image} is not in the install's own registry, {host}")


async def _facts(client: KubernetesClient) -> Facts:
    return Facts(await client.version(), tuple(await client.api_versions()))


async def compared(at: Session, last: StoredRelease | None, after: Rendering) -> tuple[list[Change], list[Change]]:
    """What the cluster would see of the next revision, as the plan says it, and besides that the hooks that would run."""
    client, release, namespace = at.client, at.runner.release, at.runner.namespace
    before = last.rendering if last else Rendering(())
    old, new = await placed(client, before.objects(), namespace), await placed(client, after.objects(), namespace)
    live = await look(client, old, new, release, namespace)
    crds = await placed(client, after.crds(), "")
    ran, runs = await placed(client, before.hooks(), namespace), await placed(client, after.hooks(), namespace)
    made = [ref for ref in sorted(crds) if await client.get(ref) is None]
    changes = [
        *(Change(ref, "create", after=crds[ref]) for ref in made),
        *of_objects(old, new, live),
        *of_hooks(ran, runs),
    ]
    changed = {each.ref for each in changes}
    events = ("pre-upgrade", "post-upgrade") if last else ("pre-install", "post-install")
    return changes, [each for each in run_with(runs, events) if each.ref not in changed]


async def plan_destruction(task: Task, config: HelmChartConfig, at: Session, last: StoredRelease | None) -> Planned:
    """Save the uninstallation, and say what it would remove. Of no release, it is of revision 0, and does nothing."""
    before = last.rendering if last else Rendering(())
    client, runner = at.client, at.runner
    objects = await placed(client, before.objects(), runner.namespace)
    changes = [*removed(objects, await look(client, objects, {}, runner.release, runner.namespace))]
    for each in changes:
        if each.action == "forget":
            task.context.log(f"{each.ref} stays where it is: its chart says `helm.sh/resource-policy: keep`")
    hooks = run_with(await placed(client, before.hooks(), runner.namespace), ("pre-delete", "post-delete"))
    revision = at.revision if last else 0
    saved = SavedRelease(release=runner.release, namespace=runner.namespace, revision=revision, timeout=config.timeout)
    saved.save(task.saved.file)
    judged = PlannedObjects(objects=tuple(each.judged for each in (*changes, *hooks)))
    return Planned(count(changes), before.secrets(), judged)
