"""Make the plan of a chart: render it for the cluster, compare with what runs, and keep what was rendered."""

import asyncio
import base64
import json

from agent.durable import write_durably
from agent.install.deployer import Planned, Task
from agent.install.helm_chart import changes
from agent.install.helm_chart.artifact import FetchedChart, fetch_chart
from agent.install.helm_chart.judged import objects_of
from agent.install.helm_chart.live import look, placed
from agent.install.helm_chart.release_chart import release_chart
from agent.install.helm_chart.render import Facts, brings_kinds, render
from agent.install.helm_chart.rendering import Rendering, digest_of_objects, kept
from agent.install.helm_chart.saved_release import SavedRelease
from agent.install.helm_chart.session import Session
from agent.install.helm_chart.values import render_values
from agent.kubernetes.client import KubernetesClient
from agent.kubernetes.objects import Obj
from agent.policy.planned import PlannedObjects
from api.contract.base import Json
from api.contract.components import HelmChartConfig
from api.contract.resources import PlannedChange


async def rendered(task: Task, config: HelmChartConfig, session: Session) -> tuple[Rendering, SavedRelease]:
    """The chart rendered with the install's own images, and all that an apply of it takes."""
    chart = await fetch_chart(task.job, task.site, task.workspace.work / "chart")
    task.context.log(f"{task.job.component}: rendering {chart.config.chart} {chart.config.version} with {session.runner.helm}")
    values = render_values(config.values, task.scope)
    own = task.workspace.work / "chart" / "values.json"
    await asyncio.to_thread(write_durably, own, json.dumps(values).encode())
    facts = await _facts(session.client) if session.last is None and await brings_kinds(config, chart) else None
    rendering = await render(session.runner, config, chart, [*chart.values, own], facts)
    rendering = await asyncio.to_thread(rendering.with_images, chart.config.images, chart.repository)
    package = await asyncio.to_thread(lambda: release_chart(chart.package.read_bytes(), rendering))
    saved = SavedRelease(
        release=session.runner.release,
        namespace=session.runner.namespace,
        revision=session.revision,
        chart=base64.b64encode(package),
        objects=digest_of_objects([*rendering.objects(), *rendering.hooks()]),
        values=values,
        outputs=_outputs(session, chart),
        create_namespace=config.create_namespace,
        take_ownership=config.take_ownership,
        wait=config.wait,
        atomic=config.atomic,
        timeout=config.timeout,
    )
    return rendering, saved


def _outputs(session: Session, chart: FetchedChart) -> dict[str, str]:
    """The outputs (`agent.artifact.outputs.CHART_OUTPUTS`). The revision is none: it would change with every apply."""
    return {
        "app_version": chart.app_version,
        "chart_version": chart.config.version,
        "namespace": session.runner.namespace,
        "release_name": session.runner.release,
    }


async def _facts(client: KubernetesClient) -> Facts:
    return Facts(await client.version(), tuple(await client.api_versions()))


async def compared(session: Session, before: Rendering, after: Rendering) -> tuple[list[PlannedChange], PlannedObjects]:
    """What the cluster would see of the step from one rendering to the other, and what it has drifted since.

    Once as everybody may hear it, and once with all values, for the customer's rules.
    """
    client, release, namespace = session.client, session.runner.release, session.runner.namespace
    old, new = await placed(client, before.objects(), namespace), await placed(client, after.objects(), namespace)
    live = await look(client, old, new, release, namespace)
    crds = await placed(client, after.crds(), "")
    made = [ref for ref in crds if await client.get(ref) is None]
    ran, runs = await placed(client, before.hooks(), namespace), await placed(client, after.hooks(), namespace)
    planned = [
        *(PlannedChange(address=str(ref), actions=["create"]) for ref in made),
        *changes.summarize(old, new, live),
        *changes.of_hooks(ran, runs),
    ]
    return planned, objects_of(planned, {**crds, **new}, live, ran, runs)


async def plan_destruction(task: Task, config: HelmChartConfig, session: Session, before: Rendering) -> Planned:
    """Save the uninstallation, and say what it would remove."""
    runner = session.runner
    objects = await placed(session.client, before.objects(), runner.namespace)
    live = await look(session.client, objects, {}, runner.release, runner.namespace)
    there = [ref for ref in sorted(objects) if live[ref].now is not None]
    for ref in there:
        if kept(objects[ref]):
            task.context.log(f"{ref} stays where it is: its chart says `helm.sh/resource-policy: keep`")
    SavedRelease(release=runner.release, namespace=runner.namespace, revision=session.revision, timeout=config.timeout).save(
        task.saved.file
    )
    gone = [PlannedChange(address=str(ref), actions=["delete"]) for ref in there if not kept(objects[ref])]
    return Planned(changes.count(gone), secrets_of(before), objects_of(gone, {}, live, {}, {}))


def secrets_of(rendering: Rendering) -> list[Json]:
    """Every value of every Secret, as it stands there and as it is meant."""
    found: list[Json] = []
    for obj in (*rendering.objects(), *rendering.hooks()):
        if obj["kind"] == "Secret":
            found += _secret_values(obj)
    return found


def _secret_values(secret: Obj) -> list[Json]:
    plain: list[Json] = [str(value) for value in (secret.get("stringData") or {}).values()]
    for value in (secret.get("data") or {}).values():
        plain.append(str(value))
        try:
            plain.append(base64.b64decode(str(value)).decode())
        except ValueError:
            continue  # it is no text
    return plain
