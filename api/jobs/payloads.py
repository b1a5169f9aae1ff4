"""What a job tells its agent, put together when it is leased: nothing of it, above all no secret, rests in the queue."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import select

from api.agents.models import AgentRow, AgentUpdateRow
from api.builds import service as builds
from api.builds.models import BuildRow
from api.components import service as components
from api.components.graph import install_fields
from api.contract import sealed_box
from api.contract.agents import AGENT_REPOSITORY, BuildJob, DeployJob, JobPayload, RegistryAccess, SyncJob, UpdateJob
from api.contract.components import ComponentConfig, ContainerImageConfig, secret_texts
from api.db.transaction import Read, Write
from api.deploys import inputs
from api.deploys.models import DeployRow, StepRow
from api.installs.models import InstalledComponentRow, InstallRow
from api.jobs.models import JobRow
from api.releases import service as releases
from api.releases.models import ReleaseRow
from api.secrets import values as named_secrets
from api.secrets.vault import Vault
from api.tickets import service as tickets

PLAN_OF: dict[str, str] = {"apply": "plan", "destroy": "plan_destroy"}


@dataclass(frozen=True)
class Sources:
    """What payloads are made of besides the database."""

    vault: Vault
    pushes: tickets.Place
    pulls: tickets.Place
    updates: tickets.Place
    ticket_seconds: float


def payload(tx: Write, job: JobRow, sources: Sources) -> JobPayload:
    """The payload of the attempt that has just been leased, with a fresh ticket where it needs one."""
    if job.build_id:
        return _build(tx, job, sources)
    if job.kind == "update_agent":
        return _update(tx, job, sources)
    step = tx.get(StepRow, job.step_id)
    deploy = tx.get(DeployRow, step.deploy_id) if step else None
    if step is None or deploy is None:
        raise LookupError(f"job {job.id} belongs to no step")
    if step.kind == "sync":
        access = _to_sync(tx, job, step, sources)
        return SyncJob(deploy_id=deploy.id, component=step.component, digest=step.digest, registry=access)
    return _terraform(tx, job, step, deploy, sources.vault)


def another_ticket(tx: Write, job: JobRow, sources: Sources) -> RegistryAccess | None:
    """One more pull ticket for what the job's own ticket was for; None if the job pulls nothing."""
    if job.kind == "update_agent":
        return _to_update(tx, job, tx.session.get_one(AgentUpdateRow, job.id), sources)
    step = tx.get(StepRow, job.step_id) if job.step_id else None
    return _to_sync(tx, job, step, sources) if step is not None and step.kind == "sync" else None


def _to_sync(tx: Write, job: JobRow, step: StepRow, sources: Sources) -> RegistryAccess:
    return tickets.issue(
        tx,
        job,
        sources.pulls,
        repository=step.repository,
        digests=[step.digest],
        seconds=sources.ticket_seconds,
    )


def _update(tx: Write, job: JobRow, sources: Sources) -> UpdateJob:
    offered = tx.session.get_one(AgentUpdateRow, job.id)
    return UpdateJob(version=offered.version, digest=offered.digest, registry=_to_update(tx, job, offered, sources))


def _to_update(tx: Write, job: JobRow, offered: AgentUpdateRow, sources: Sources) -> RegistryAccess:
    return tickets.issue(
        tx,
        job,
        sources.updates,
        repository=AGENT_REPOSITORY,
        digests=[offered.digest],
        seconds=sources.ticket_seconds,
    )


def _build(tx: Write, job: JobRow, sources: Sources) -> BuildJob:
    build = tx.session.get(BuildRow, job.build_id)
    if build is None:
        raise LookupError(f"job {job.id} belongs to no build")
    app, component, config = builds.names(tx, build)
    access = tickets.issue(
        tx,
        job,
        sources.pushes,
        repository=builds.repository(app, component),
        digests=None,
        seconds=sources.ticket_seconds,
    )
    images = _images_beside(tx, build, config.config)
    return BuildJob(
        build_id=build.id,
        app=app,
        component=component,
        config=config.config,
        registry=access,
        sealed=_sealed_for_build(tx, job, build, [config.config, *images], sources.vault),
        images=images,
    )


def _images_beside(tx: Read, build: BuildRow, config: ComponentConfig) -> list[ContainerImageConfig]:
    """The app's private images, for a component that may name others beside them."""
    if config.kind in ("container_image", "terraform_module"):
        return []
    newest = [row.config for row in components.of_app(tx, build.app_id).values()]
    return [one for one in newest if isinstance(one, ContainerImageConfig) and one.public is None and not _anyones(one)]


def _anyones(image: ContainerImageConfig) -> bool:
    return image.registry is not None and image.registry.password_secret is None


def _sealed_for_build(tx: Read, job: JobRow, build: BuildRow, configs: Sequence[ComponentConfig], vault: Vault) -> str | None:
    """The secrets that a build asks for, for its agent's eyes alone: they never leave unsealed."""
    names = {name for config in configs for name in secret_texts(config).values()}
    values = named_secrets.values_for_build(tx, vault, build.app_id, names)
    agent = tx.get(AgentRow, job.agent_id)
    if not values or agent is None or not agent.sealing_key:
        return None
    context = sealed_box.job_context(job.id, job.attempt, build.id)
    return sealed_box.seal(sealed_box.public_key(agent.sealing_key), {"secrets": values}, context)


def _terraform(tx: Read, job: JobRow, step: StepRow, deploy: DeployRow, vault: Vault) -> DeployJob:
    install = tx.get(InstallRow, deploy.install_id)
    if install is None or step.kind in ("sync", "approve"):
        raise LookupError(f"step {step.id} is no job of an install's engine")
    release = tx.get(ReleaseRow, release_of(tx, deploy, step))
    if release is None:
        raise LookupError(f"deploy {deploy.id} has no release")
    given = inputs.given(vault, deploy, install, step.config)
    sensitive, secrets = given.sensitive, given.secrets
    agent = tx.get(AgentRow, job.agent_id)
    box = None
    if agent and agent.sealing_key:
        context = sealed_box.job_context(job.id, job.attempt, install.id)
        content = {"sensitive_inputs": sensitive, "secrets": secrets}
        box = sealed_box.seal(sealed_box.public_key(agent.sealing_key), content, context)
        sensitive, secrets = {}, {}
    plan = _plan(tx, step)
    part = next((one for one in deploy.replan or () if one.component == step.component and step.kind == "plan"), None)
    return DeployJob(
        kind=step.kind,
        deploy_id=deploy.id,
        component=step.component,
        digest=step.digest,
        repository=step.repository,
        config=step.config,
        install_id=install.id,
        install_name=install.name,
        install_platform=given.platform,
        install_region=given.region,
        install_labels=_labels_for(given.labels, step.config),
        inputs=given.inputs,
        sensitive_inputs=sensitive,
        secrets=secrets,
        sealed=box,
        digests=releases.digests_of(tx, release.id),
        look_at_health=deploy.kind == "drift",
        replan=part,
        plan_job_id=plan.job_id if plan else None,
        plan_digest=plan.plan_digest if plan else None,
        approval=deploy.approval,
    )


def _labels_for(labels: dict[str, str], config: ComponentConfig) -> dict[str, str]:
    wanted = install_fields(config) if labels else set()
    return {name: value for name, value in labels.items() if f"labels.{name}" in wanted}


def release_of(tx: Read, deploy: DeployRow, step: StepRow) -> str | None:
    """The deploy's release; for what is destroyed or looked at, the one that it was deployed with."""
    if deploy.kind != "drift" and step.kind not in ("plan_destroy", "destroy"):
        return deploy.release_id
    row = tx.get(InstalledComponentRow, (deploy.install_id, step.component))
    return row.release_id if row else None


def _plan(tx: Read, step: StepRow) -> StepRow | None:
    """The plan step whose saved plan a step carries out (`saved-plan`)."""
    kind = PLAN_OF.get(step.kind)
    if kind is None:
        return None
    known: StepRow | None = tx.memo.get(plan_key(step))
    return known or tx.first(
        select(StepRow).where(StepRow.deploy_id == step.deploy_id, StepRow.component == step.component, StepRow.kind == kind)
    )


def plan_key(step: StepRow) -> object:
    """Where `hot` leaves the plan step of an apply or a destroy, given either of the two."""
    return "plan", step.deploy_id, step.component, PLAN_OF.get(step.kind, step.kind)
