"""Plan, apply and destroy one Helm chart: the rendering that was planned is what helm applies, whatever the chart says then.

`saved-plan`: the plan holds a chart whose templates are the rendering itself (`release_chart`). Helm does the rest: hooks,
waiting, rolling back, and the release that `helm list` shows.
"""

import json

from agent.cancellation import unless_cancelled
from agent.durable import write_durably
from agent.engine.run import Ended, run
from agent.failure import CodedError, JobFailedError
from agent.install.deployer import Planned, Task
from agent.install.failures import ApplyInterruptedError, DestroyIncompleteError, PlanStaleError
from agent.install.helm_chart.artifact import fetch_chart
from agent.install.helm_chart.changes import count
from agent.install.helm_chart.health import release_checks
from agent.install.helm_chart.planning import compared, plan_destruction, rendered
from agent.install.helm_chart.render import words_of
from agent.install.helm_chart.rendering import digest_of_objects
from agent.install.helm_chart.saved_release import SavedRelease, read_saved
from agent.install.helm_chart.session import Place, Session, keep_place, known_place, place_of, session
from agent.install.helm_chart.stored_release import PLAN_LABEL, StoredRelease, put_in_order, stored_releases
from agent.install.workspace import StoredOutput, StoredOutputs
from agent.policy.planned import PlannedObjects
from api.contract.base import Failure
from api.contract.components import HelmChartConfig
from api.contract.resources import PlannedChange

_RUN_SECONDS = 6 * 3600
_LABEL_LENGTH = 63  # "Labels and Selectors": so long may a label's value be
_KEPT_REVISIONS = 10


class RenderingChangedError(CodedError):
    """`saved-plan`: the release in the cluster isn't what was planned."""

    code = "plan_changed"
    remedy = "Look at the release with `helm get manifest`: something between the agent and the cluster changes it."


class ReleaseTakenError(CodedError):
    """Somebody else has installed a release of this name."""

    code = "release_taken"
    remedy = "Give the component another `release_name`; or set `take_ownership`, and the release becomes its own."


class HelmDeployer:
    """Deploys Helm charts. See `agent.install.deployer.Deployer`."""

    def recover(self, task: Task) -> None:
        """Nothing is left on this machine; a release that a killed helm left is put in order as soon as it is looked at."""

    def deployed(self, task: Task) -> bool:
        """Whether helm was ever told to make the release, or may have been: only the cluster knows, if there is one."""
        return task.site.cluster.given_any or known_place(task.workspace) is not None

    async def plan(self, task: Task) -> Planned:
        """Render the chart for the cluster, compare, and save what was rendered."""
        return await unless_cancelled(_plan(task), task.context.cancellation)

    async def apply(self, task: Task) -> StoredOutputs:
        """Let helm install or upgrade to the saved rendering, unless it has done so before the agent was stopped."""
        saved = read_saved(task.saved.file)
        place, mark = Place(release=saved.release, namespace=saved.namespace), _mark(task)
        async with session(task, place) as at:
            last = at.last and await put_in_order(at.client, at.last)
            ours = last is not None and last.plan == mark
            if last is not None and ours and last.status == "deployed":
                task.context.log(f"{task.job.component}: the plan was applied before the agent was stopped")
                task.checks.extend(await release_checks(at, last, task.context.redactor.text))
                return _outputs(saved)
            if at.revision != saved.revision and not ours:
                raise _moved(task, at.revision)
            keep_place(task.workspace, place)
            await _upgrade(task, at, saved, mark)
            done = (await stored_releases(at.client, saved.release, saved.namespace))[0]
            if digest_of_objects([*done.rendering.objects(), *done.rendering.hooks()]) != saved.objects:
                raise RenderingChangedError(f"revision {done.revision} of {saved.release} is not what was planned")
            task.checks.extend(await release_checks(at, done, task.context.redactor.text))
        return _outputs(saved)

    async def destroy(self, task: Task) -> None:
        """Let helm uninstall the release."""
        saved = read_saved(task.saved.file)
        if saved.revision == 0:
            return
        async with session(task, Place(release=saved.release, namespace=saved.namespace)) as at:
            if at.last is None:
                return
            if at.revision != saved.revision:
                raise _moved(task, at.revision)
            await _run(task, at, "uninstall", "--wait", f"--timeout={saved.timeout}s")
            if await stored_releases(at.client, saved.release, saved.namespace):
                raise DestroyIncompleteError(f"the release {saved.release} is still there after the destroy")


async def _plan(task: Task) -> Planned:
    config = task.job.config
    if not isinstance(config, HelmChartConfig):
        raise TypeError(f"{config.kind} is no Helm chart")
    place = place_of(task, config)
    chart = None if task.destroys else await fetch_chart(task.job, task.site, task.workspace)
    async with session(task, place) as at:
        last = at.last and await put_in_order(at.client, _own(task, config, at.last))
        if chart is None:
            return await plan_destruction(task, config, at, last)
        rendering, saved = await rendered(task, config, chart, at)
        secrets = rendering.secrets()
        task.context.redactor.learn(secrets)  # before the API server says anything of them
        changes, hooks = await compared(at, last, rendering)
        if last and (task.job.look_at_health or not changes):
            task.checks.extend(await release_checks(at, last, task.context.redactor.text))
        saved.save(task.saved.file)
    summary = count(changes)
    update: dict[str, object] = {"outputs_change": task.site.components.outputs(task.job.component) != saved.outputs}
    if last and last.status != "deployed":
        mended = PlannedChange(address=f"release/{saved.release}", actions=["update"], attributes=["status"])
        update |= {"change": summary.change + 1, "resources": [mended, *summary.resources]}
    summary = summary.model_copy(update=update)
    does = [*changes, *hooks] if not summary.empty or summary.outputs_change else []
    return Planned(summary, secrets, PlannedObjects(objects=tuple(each.judged for each in does)))


def _own(task: Task, config: HelmChartConfig, last: StoredRelease) -> StoredRelease | None:
    """The release, if it is this component's, or becomes it. One of others isn't destroyed. Raises ReleaseTakenError."""
    if known_place(task.workspace) is not None or last.plan or config.take_ownership:
        return last
    if task.destroys:
        return None
    raise ReleaseTakenError(f"there is a release {config.release_name or task.job.component} in {config.namespace} already")


def _mark(task: Task) -> str:
    return task.saved.digest().removeprefix("sha256:")[:_LABEL_LENGTH]


def _moved(task: Task, revision: int) -> CodedError:
    if task.saved.said("apply").exists():
        return ApplyInterruptedError(f"the {task.job.kind} of {task.job.component} was cut off after it had changed something")
    return PlanStaleError(f"the release of {task.job.component} has moved to revision {revision} since the plan was made")


async def _upgrade(task: Task, at: Session, saved: SavedRelease, mark: str) -> None:
    assert saved.chart is not None
    helm = at.runner.helm
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
    arguments += ["--create-namespace"] if saved.create_namespace and at.revision == 0 else []
    # What the plan shows is what will be, also where others have changed fields meanwhile.
    arguments += ["--server-side=true", "--force-conflicts"] if helm.release >= (4, 0) else []
    await _run(task, at, "upgrade", *arguments)


async def _run(task: Task, at: Session, action: str, *arguments: str) -> None:
    """One command that changes something. Raises JobFailedError, JobCancelledError."""
    ended = await run(
        at.runner.command(action, *arguments),
        task.saved.said("apply"),
        lambda event: task.context.log(event.text),
        task.context.cancellation,
        timeout=_RUN_SECONDS,
    )
    if not ended.succeeded:
        task.context.cancellation.check()
        raise _failure(task, at, ended)


def _failure(task: Task, at: Session, ended: Ended) -> JobFailedError:
    """Helm could not do what was planned: `apply_failed` or `destroy_failed`, in its own words."""
    action = task.job.kind
    return JobFailedError(
        Failure(
            code=f"{action}_failed",
            message=f"the {action} of the release {at.runner.release} failed: {words_of(ended)}",
            remedy="Correct the cause, and deploy again. `helm history` and the events of the namespace say more.",
            retryable=ended.exit_code < 0 and not ended.stopped,
        )
    )


def _outputs(saved: SavedRelease) -> StoredOutputs:
    return StoredOutputs(outputs={name: StoredOutput(value=value, sensitive=False) for name, value in saved.outputs.items()})
