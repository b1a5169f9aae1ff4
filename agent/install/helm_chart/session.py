"""One release in the customer's cluster, with the helm that acts on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agent.cancellation import unless_cancelled
from agent.durable import write_durably
from agent.failure import CodedError
from agent.install.deployer import Task
from agent.install.helm_chart.artifact import helm_of
from agent.install.helm_chart.program import find_helm, helm_environment
from agent.install.helm_chart.render import HelmRunner
from agent.install.helm_chart.stored_release import StoredRelease, stored_releases
from agent.install.workspace import Workspace
from agent.kubernetes.client import KubernetesClient, connect
from api.contract.base import Model
from api.contract.components import HelmChartConfig

_FILE = "release.json"


class ReleaseMovedError(CodedError):
    """The config names another release, or another namespace, than the one that runs."""

    code = "release_moved"
    remedy = "Set `release_name` and `namespace` back; or remove the component from the install, and add it anew."


class Place(Model):
    """Which release is the component's. Kept from before its first apply until the component is removed."""

    release: str
    namespace: str


def known_place(workspace: Workspace) -> Place | None:
    """The release that helm was told to make, if it ever was."""
    try:
        return Place.model_validate_json((workspace.root / _FILE).read_bytes())
    except FileNotFoundError:
        return None


def keep_place(workspace: Workspace, place: Place) -> None:
    """Remember a release before helm is told to make it."""
    write_durably(workspace.root / _FILE, place.model_dump_json().encode())


def place_of(task: Task, config: HelmChartConfig) -> Place:
    """The release that runs, which a destruction is of; else the config's, which has to be the same.

    Raises ReleaseMovedError.
    """
    wanted = Place(release=config.release_name or task.job.component, namespace=config.namespace)
    runs = known_place(task.workspace) or wanted
    if runs != wanted and not task.destroys:
        raise ReleaseMovedError(
            f"{task.job.component} runs as release {runs.release} in namespace {runs.namespace}, and can't become "
            f"{wanted.release} in {wanted.namespace}",
            field="config.namespace" if runs.release == wanted.release else "config.release_name",
        )
    return runs


@dataclass(frozen=True)
class Session:
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


@asynccontextmanager
async def session(task: Task, place: Place) -> AsyncIterator[Session]:
    """Look for helm, and sign in to the cluster. Raises HelmNotFoundError, NoClusterError, and the errors of the client."""
    helm = await find_helm(task.site.env, helm_of(task.workspace))
    settings = task.site.cluster
    work = task.workspace.work
    environment = await asyncio.to_thread(helm_environment, task.site.env, work / "helm")
    environment |= settings.environment()
    runner = HelmRunner(helm, work, environment, task.lock, place.release, place.namespace, tuple(settings.arguments()))
    async with connect(settings) as client:
        releases = unless_cancelled(stored_releases(client, place.release, place.namespace), task.context.cancellation)
        yield Session(client, runner, await releases)
