"""Plan, apply and destroy one Helm chart: the rendering that was planned is what helm applies, whatever the chart says then.

`saved-plan`: the plan holds a chart whose templates are the rendering itself (`release_chart`). Helm does the rest: hooks,
waiting, rolling back, and the release that `helm list` shows.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.cancellation import unless_cancelled
from agent.durable import write_durably
from agent.engine.run import run
from agent.failure import CodedError
from agent.install.deployer import Planned, Task
from agent.install.failures import ApplyInterruptedError, DestroyIncompleteError, PlanStaleError
from agent.install.helm_chart import changes
from agent.install.helm_chart.artifact import FetchedChart, fetch_chart
from agent.install.helm_chart.live import look, placed
from agent.install.helm_chart.program import find_helm, helm_environment
from agent.install.helm_chart.release_chart import release_chart
from agent.install.helm_chart.render import Facts, HelmRunner, brings_kinds, render, words_of
from agent.install.helm_chart.rendering import Rendering, digest_of_objects, kept
from agent.install.helm_chart.saved_release import SavedRelease, read_saved
from agent.install.helm_chart.stored_release import PLAN_LABEL, StoredRelease, put_in_order, stored_releases
from agent.install.helm_chart.values import render_values
from agent.install.workspace import StoredOutput, StoredOutputs, Workspace
from agent.kubernetes.client import KubernetesClient, connect
from agent.kubernetes.objects import Obj
from api.contract.base import Json, Model
from api.contract.components import HelmChartConfig
from api.contract.resources import PlannedChange

_RUN_SECONDS = 6 * 3600
_LABEL_LENGTH = 63  # "Labels and Selectors": so long may a label's value be
_KEPT_REVISIONS = 10


class HelmFailedError(CodedError):
    """Helm could not do what was planned. The message has its words."""

    code = "apply_failed"


class RenderingChangedError(CodedError):
    """`saved-plan`: the release in the cluster isn't what was planned."""

    code = "plan_changed"
    remedy = "Look at the release with `helm get manifest`: something between the agent and the cluster changes it."


class ReleaseMovedError(CodedError):
    """The config names another release, or another namespace, than the one that runs."""

    code = "release_moved"
    remedy = "Set `release_name` and `namespace` back; or remove the component from the install, and add it anew."


class _Place(Model):
    """Which release is the component's. Kept from before its first apply until the component is removed."""

    release: str
    namespace: str


@dataclass(frozen=True)
class _Session:
    """A cluster with a helm, for one job on one release."""

    client: KubernetesClient
    runner: HelmRunner
    releases: list[StoredRelease]

    @property
    def last(self) -> StoredRelease | None:
        """The newest revision, unless the release was removed."""
        return self.releases[0] if self.releases and self.releases[0].status != "uninstalled" else None

    @property
    def revision(self) -> int:
        """Of the newest revision; 0 if there is none."""
        return self.releases[0].revision if self.releases else 0


class HelmDeployer:
    """Deploys Helm charts. See `agent.install.deployer.Deployer`."""

    def recover(self, task: Task) -> None:
        """Nothing is left on this machine; a release that a killed helm left is put in order as soon as it is looked at."""

    def deployed(self, task: Task) -> bool:
        """Whether helm was ever told to make the release."""
        return _place_file(task.workspace).exists()

    async def plan(self, task: Task) -> Planned:
        """Render the chart for the cluster, compare, and save what was rendered."""
        config = _config(task)
        place = _place(task, config)
        async with _session(task, place) as session:
            last = session.last and await put_in_order(session.client, session.last)
            before = last.rendering if last else Rendering(())
            if task.destroys:
                return await _plan_destruction(task, session, before)
            rendering, saved = await unless_cancelled(_rendered(task, config, session), task.context.cancellation)
            planned = await _compared(session, before, rendering)
            if last and last.status != "deployed":
                planned.insert(0, PlannedChange(address=f"release/{place.release}", actions=["update"], attributes=["status"]))
            saved.save(task.saved.file)
            known = task.site.components.outputs(task.job.component)
            summary = changes.count(planned).model_copy(update={"outputs_change": known != saved.outputs})
            return Planned(summary, _secrets_of(rendering))

    async def apply(self, task: Task) -> StoredOutputs:
        """Let helm install or upgrade to the saved rendering, unless it has done so before the agent was stopped."""
        saved = read_saved(task.saved.file)
        mark = _mark(task)
        async with _session(task, _Place(release=saved.release, namespace=saved.namespace)) as session:
            last = session.last and await put_in_order(session.client, session.last)
            if last is not None and last.plan == mark and last.status == "deployed":
                task.context.log(f"{task.job.component}: the plan was applied before the agent was stopped")
                return _outputs(saved)
            if session.revision != saved.revision and not (last is not None and last.plan == mark):
                raise _moved(task, session.revision)
            write_durably(_place_file(task.workspace), _place_of(saved).model_dump_json().encode())
            await _upgrade(task, session, saved, mark)
            done = (await stored_releases(session.client, saved.release, saved.namespace))[0]
            if digest_of_objects([*done.rendering.objects(), *done.rendering.hooks()]) != saved.objects:
                raise RenderingChangedError(f"revision {done.revision} of {saved.release} is not what was planned")
        return _outputs(saved)

    async def destroy(self, task: Task) -> None:
        """Let helm uninstall the release."""
        saved = read_saved(task.saved.file)
        async with _session(task, _Place(release=saved.release, namespace=saved.namespace)) as session:
            if session.last is None:
                return
            if session.revision != saved.revision:
                raise _moved(task, session.revision)
            arguments = ["--wait", f"--timeout={saved.timeout}s"]
            await _run(task, session, "uninstall", "destroy", *arguments)
            left = await stored_releases(session.client, saved.release, saved.namespace)
            if left:
                raise DestroyIncompleteError(f"the release {saved.release} is still there after the destroy")


def _config(task: Task) -> HelmChartConfig:
    if not isinstance(task.job.config, HelmChartConfig):
        raise TypeError(f"{task.job.config.kind} is no Helm chart")
    return task.job.config


def _place_file(workspace: Workspace) -> Path:
    return workspace.root / "release.json"


def _place_of(saved: SavedRelease) -> _Place:
    return _Place(release=saved.release, namespace=saved.namespace)


def _place(task: Task, config: HelmChartConfig) -> _Place:
    """The release that runs, which a destruction is of; else the config's, which has to be the same."""
    wanted = _Place(release=config.release_name or task.job.component, namespace=config.namespace)
    try:
        runs = _Place.model_validate_json(_place_file(task.workspace).read_bytes())
    except FileNotFoundError:
        return wanted
    if runs != wanted and not task.destroys:
        field = "config.namespace" if runs.release == wanted.release else "config.release_name"
        raise ReleaseMovedError(
            f"{task.job.component} runs as release {runs.release} in namespace {runs.namespace}, and can't become "
            f"{wanted.release} in {wanted.namespace}",
            field=field,
        )
    return runs


@asynccontextmanager
async def _session(task: Task, place: _Place) -> AsyncIterator[_Session]:
    helm = await find_helm(task.site.env)
    settings = task.site.cluster
    work = task.workspace.work
    environment = await asyncio.to_thread(helm_environment, task.site.env, work / "helm")
    environment |= settings.environment()
    runner = HelmRunner(helm, work, environment, task.lock, place.release, place.namespace, tuple(settings.arguments()))
    async with connect(settings) as client:
        releases = unless_cancelled(stored_releases(client, place.release, place.namespace), task.context.cancellation)
        yield _Session(client, runner, await releases)


async def _rendered(task: Task, config: HelmChartConfig, session: _Session) -> tuple[Rendering, SavedRelease]:
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
        outputs=_said(config, session, chart),
        create_namespace=config.create_namespace,
        take_ownership=config.take_ownership,
        wait=config.wait,
        atomic=config.atomic,
        timeout=config.timeout,
    )
    return rendering, saved


def _said(config: HelmChartConfig, session: _Session, chart: FetchedChart) -> dict[str, str]:
    """The outputs (`agent.artifact.outputs.CHART_OUTPUTS`). The revision is none: it would change with every apply."""
    return {
        "app_version": chart.app_version,
        "chart_version": chart.config.version,
        "namespace": session.runner.namespace,
        "release_name": session.runner.release,
    }


async def _facts(client: KubernetesClient) -> Facts:
    return Facts(await client.version(), tuple(await client.api_versions()))


async def _compared(session: _Session, before: Rendering, after: Rendering) -> list[PlannedChange]:
    client, release, namespace = session.client, session.runner.release, session.runner.namespace
    old, new = await placed(client, before.objects(), namespace), await placed(client, after.objects(), namespace)
    live = await look(client, old, new, release, namespace)
    crds = await placed(client, after.crds(), "")
    made = [ref for ref in crds if await client.get(ref) is None]
    ran, runs = await placed(client, before.hooks(), namespace), await placed(client, after.hooks(), namespace)
    return [
        *(PlannedChange(address=str(ref), actions=["create"]) for ref in made),
        *changes.summarize(old, new, live),
        *changes.of_hooks(ran, runs),
    ]


async def _plan_destruction(task: Task, session: _Session, before: Rendering) -> Planned:
    runner = session.runner
    objects = await placed(session.client, before.objects(), runner.namespace)
    live = await look(session.client, objects, {}, runner.release, runner.namespace)
    there = [ref for ref in sorted(objects) if live[ref].now is not None]
    for ref in there:
        if kept(objects[ref]):
            task.context.log(f"{ref} stays where it is: its chart says `helm.sh/resource-policy: keep`")
    config = _config(task)
    SavedRelease(release=runner.release, namespace=runner.namespace, revision=session.revision, timeout=config.timeout).save(
        task.saved.file
    )
    gone = [PlannedChange(address=str(ref), actions=["delete"]) for ref in there if not kept(objects[ref])]
    return Planned(changes.count(gone), _secrets_of(before))


def _secrets_of(rendering: Rendering) -> list[Json]:
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


def _mark(task: Task) -> str:
    return task.saved.digest().removeprefix("sha256:")[:_LABEL_LENGTH]


def _moved(task: Task, revision: int) -> CodedError:
    if task.saved.said("apply").exists():
        return ApplyInterruptedError(f"the {task.job.kind} of {task.job.component} was cut off after it had changed something")
    return PlanStaleError(f"the release of {task.job.component} has moved to revision {revision} since the plan was made")


async def _upgrade(task: Task, session: _Session, saved: SavedRelease, mark: str) -> None:
    assert saved.chart is not None
    helm = session.runner.helm
    chart, values = task.saved.folder / "chart.tgz", task.saved.folder / "values.json"
    write_durably(chart, saved.chart)
    write_durably(values, json.dumps(saved.values).encode())
    arguments = [
        str(chart),
        f"--values={values}",
        "--reset-values",
        f"--timeout={saved.timeout}s",
        f"--labels={PLAN_LABEL}={mark}",
        f"--description=exclave: deploy {task.job.deploy_id}",
        f"--history-max={_KEPT_REVISIONS}",
    ]
    arguments += ["--wait"] if saved.wait else []
    arguments += [helm.rollback_flag] if saved.atomic else []
    arguments += ["--take-ownership"] if saved.take_ownership else []
    arguments += ["--create-namespace"] if saved.create_namespace and session.revision == 0 else []
    # What the plan shows is what will be, also where others have changed fields meanwhile.
    arguments += ["--server-side=true", "--force-conflicts"] if helm.release >= (4, 0) else []
    await _run(task, session, "upgrade", "apply", *arguments)


async def _run(task: Task, session: _Session, action: str, said: str, *arguments: str) -> None:
    """One command that changes something. Raises HelmFailedError, JobCancelledError."""
    ended = await run(
        session.runner.command(action, *arguments),
        task.saved.said(said),
        lambda event: task.context.log(event.text),
        task.context.cancellation,
        timeout=_RUN_SECONDS,
    )
    if not ended.succeeded:
        task.context.cancellation.check()
        raise HelmFailedError(
            f"helm can't {action} the release {session.runner.release}: {words_of(ended)}",
            remedy="Correct the cause, and deploy again. `helm history` and the events of the namespace say more.",
        )


def _outputs(saved: SavedRelease) -> StoredOutputs:
    return StoredOutputs(outputs={name: StoredOutput(value=value, sensitive=False) for name, value in saved.outputs.items()})
