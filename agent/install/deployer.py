"""What a kind of component has to be able to do in the customer's account, and what it is given for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agent.install.site import Site
from agent.install.variables import Scope
from agent.install.workspace import SavedPlan, StoredOutputs, Workspace
from agent.job import JobContext
from agent.policy.planned import PlannedObjects
from api.contract.agents import DeployJob
from api.contract.base import Json
from api.contract.component_health import HealthCheck
from api.contract.resources import PlanSummary


@dataclass(frozen=True)
class Task:
    """One job on one component, while its workspace's lock is held.

    `lock` is the lock's file descriptor: a program that inherits it keeps the lock as long as it lives (`sole-writer`).
    `saved` is the plan that is being made, or carried out. `resolved` are the values of the inputs that are references to the
    customer's secret stores; only a plan has them. `derived` takes what the rendering of references made of sensitive values,
    `checks` what a deployer knows of the component's health after an apply, or by a plan of what is there.
    """

    job: DeployJob
    context: JobContext
    site: Site
    workspace: Workspace
    saved: SavedPlan
    lock: int
    resolved: Mapping[str, Json] = field(default_factory=dict)
    derived: list[Json] = field(default_factory=list)
    checks: list[HealthCheck] = field(default_factory=list)

    @property
    def destroys(self) -> bool:
        """Whether the job plans or carries out a destruction."""
        return self.job.kind in ("plan_destroy", "destroy")

    @property
    def scope(self) -> Scope:
        """What the references in the component's config can refer to."""
        job = self.job
        return Scope(
            install_id=job.install_id,
            install_name=job.install_name,
            install_platform=job.install_platform,
            install_region=job.install_region,
            inputs={**job.inputs, **job.sensitive_inputs, **self.resolved},
            secrets=job.secrets,
            outputs=self.site.components.outputs,
            digests=job.digests,
            install_labels=job.install_labels,
            component=job.component,
            sensitive_inputs=[*job.sensitive_inputs, *self.resolved],
            sensitive_outputs=self.site.components.sensitive_outputs,
            learn=self._learn,
        )

    def _learn(self, value: Json) -> None:
        self.context.redactor.learn(value)
        self.derived.append(value)


@dataclass(frozen=True)
class Planned:
    """What a plan would do, and every value in it that no log may show.

    `objects` is what the customer's rules judge. A plan without them is refused where a rule is about it.
    """

    summary: PlanSummary
    secrets: list[Json] = field(default_factory=list)
    objects: PlannedObjects | None = None


class Deployer(Protocol):
    """Brings components of one kind into being. `agent.install.deploy` calls it, with the workspace's lock held.

    All methods may be cut off at any point, and are then called again by a job of the same id, or another one. They raise
    JobFailedError, and JobCancelledError if the job's cancellation stopped them.
    """

    def recover(self, task: Task) -> None:
        """Put in order what a process left that was killed, before anything else looks at it."""
        ...

    def deployed(self, task: Task) -> bool:
        """Whether there may be anything that a destruction would remove."""
        ...

    async def plan(self, task: Task) -> Planned:
        """Write to `task.saved.file` all that `apply` or `destroy` will carry out, so that its digest stands for it."""
        ...

    async def apply(self, task: Task) -> StoredOutputs:
        """Carry out the saved plan, and nothing else. Gives all outputs."""
        ...

    async def destroy(self, task: Task) -> None:
        """Carry out the saved plan of a destruction; the workspace is removed afterwards. Raises DestroyIncompleteError."""
        ...
