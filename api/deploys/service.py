"""What a deploy's life means: loads what `decide` and `planning` want to know, and carries out what they say."""

from sqlmodel import col, select

from api.apps import service as apps
from api.components.graph import check_config
from api.contract.agents import ApplyResult, JobResult, PlanResult
from api.contract.base import Failure, Json
from api.contract.inputs import check_values
from api.contract.problems import ConflictError, InvalidError, NotFoundError
from api.contract.resources import DeployCreate
from api.db.transaction import Read, Write
from api.deploys import decide as engine
from api.deploys.models import DeployRow, StepRow
from api.deploys.planning import Piece, PlannedStep, StepKey, fingerprint, plan_deploy, plan_teardown
from api.installs import service as installs
from api.installs.models import InstalledComponentRow, InstallRow
from api.installs.vault import Vault
from api.jobs import queue
from api.jobs.models import JobRow
from api.releases import service as releases
from api.releases.models import ReleaseRow


def topic(deploy_id: str) -> str:
    """What somebody listens to who waits for a deploy."""
    return f"deploy:{deploy_id}"


def find(tx: Read, deploy: str) -> DeployRow:
    """The deploy with this id. Raises NotFoundError."""
    row = tx.session.get(DeployRow, deploy)
    if row is None or not tx.scope.holds(app_id=row.app_id, install_id=row.install_id):
        raise NotFoundError(f"there is no deploy {deploy!r}")
    return row


def under_way(tx: Read, install_id: str) -> DeployRow | None:
    """The deploy that is under way on an install."""
    return tx.first(select(DeployRow).where(DeployRow.install_id == install_id, col(DeployRow.ended_at).is_(None)))


def steps_of(tx: Read, deploy_id: str) -> list[StepRow]:
    """The steps of a deploy, in the order of the graph."""
    return tx.all(select(StepRow).where(StepRow.deploy_id == deploy_id).order_by(col(StepRow.position)))


def create(tx: Write, vault: Vault, body: DeployCreate) -> DeployRow:
    """Plan the steps and set the first ones going. A deploy that finds nothing to do has succeeded at once."""
    install = installs.find(tx, body.install_id, field="install_id")
    running = under_way(tx, install.id)
    if running:
        raise ConflictError(
            f"{running.kind} {running.id} is still under way on install {install.name!r}",
            remedy=f"Wait: `exclave deploys show {running.id} --follow`. Or cancel it: `exclave deploys cancel {running.id}`.",
        )
    if body.inputs_version is not None and body.inputs_version != install.inputs_version:
        raise InvalidError.at(
            "inputs_version",
            f"install {install.name!r} has inputs version {install.inputs_version}, not {body.inputs_version}",
            "Use the install's `inputs_version`.",
        )
    current = {row.name: _there(row) for row in installs.components_of(tx, install.id)}
    release = _release(tx, install, body)
    planned = plan_deploy(_wanted(tx, vault, install, release), current) if release else plan_teardown(current)
    deploy_id = tx.new_id("dep")
    row = DeployRow(
        id=deploy_id,
        app_id=install.app_id,
        install_id=install.id,
        release_id=release.id if release else None,
        kind=body.kind,
        status="running",
        inputs_version=install.inputs_version,
        sealed_inputs=vault.seal(_inputs(tx, vault, install), owner=deploy_id),
        created_at=tx.now,
    )
    tx.session.add(row)
    tx.session.flush()
    _add_steps(tx, row, planned)
    tx.emit(
        "deploy.created",
        row.id,
        after={
            "install": install.name,
            "kind": row.kind,
            "release": release.number if release else None,
            "steps": [" ".join(step.key) for step in planned],
        },
    )
    if release:
        in_work = {step.piece.name for step in planned}
        for component in installs.components_of(tx, install.id):
            if component.name not in in_work:  # nothing differs: it is at this release already
                component.release_id = release.id
    advance(tx, row, engine.Started())
    return row


def _inputs(tx: Read, vault: Vault, install: InstallRow) -> dict[str, Json]:
    """All inputs of an install now. One that the app no longer declares stays: what is to be destroyed may still use it."""
    sensitive = installs.sensitive_inputs(vault, install)
    checked, checked_sensitive, _ = check_values(apps.find(tx, install.app_id).inputs, install.inputs, sensitive)
    return {"inputs": install.inputs | checked, "sensitive_inputs": sensitive | checked_sensitive}


def inputs_of(vault: Vault, deploy: DeployRow) -> tuple[dict[str, Json], dict[str, Json]]:
    """The inputs that a deploy was made with, plain and sensitive: only for a job on its way to the install's own agent."""
    opened = vault.open_sealed(deploy.sealed_inputs, owner=deploy.id)
    return opened["inputs"], opened["sensitive_inputs"]


def _release(tx: Read, install: InstallRow, body: DeployCreate) -> ReleaseRow | None:
    if body.kind == "teardown":
        if body.release_id:
            raise InvalidError.at("release_id", "a teardown takes no release", "Leave it out.")
        return None
    if not body.release_id:
        raise InvalidError.at("release_id", "a deploy needs a release", "Give the id of a release of the install's app.")
    release = releases.find(tx, body.release_id, field="release_id")
    if release.app_id != install.app_id:
        raise InvalidError.at("release_id", f"release {release.id} is of another app than install {install.name!r}")
    if release.status != "ready":
        raise ConflictError(
            f"release {release.number} is {release.status}, not ready",
            remedy="Wait until it is ready." if release.status == "building" else "Mend what its failure says; release again.",
        )
    return release


def _there(row: InstalledComponentRow) -> Piece:
    return Piece(row.name, row.config, row.build_id, row.digest, row.repository, row.fingerprint)


def _wanted(tx: Read, vault: Vault, install: InstallRow, release: ReleaseRow) -> dict[str, Piece]:
    inputs = apps.find(tx, install.app_id).inputs
    plain, _, problems = check_values(inputs, install.inputs, installs.sensitive_inputs(vault, install))
    if problems:
        raise InvalidError(f"the inputs of install {install.name!r} don't fit its app", errors=problems)
    configs = releases.configs_of(tx, release.id)
    problems = [problem for name, config in configs.items() for problem in check_config(name, config, inputs)]
    if problems:  # the app has changed since: an input that this release uses is gone
        raise InvalidError(f"release {release.number} no longer fits its app: release anew", errors=problems)
    values: dict[str, Json] = {**plain, **install.sensitive_fingerprints}
    wanted = {}
    for link, build in releases.builds_of(tx, release.id):
        if build.artifact is None:
            raise LookupError(f"build {build.id} of a ready release has no artifact")
        config, digest = configs[link.component], build.artifact.digest
        mark = fingerprint(config, digest, inputs=values, install_id=install.id)
        wanted[link.component] = Piece(link.component, config, build.id, digest, build.artifact.repository, mark)
    return wanted


def _add_steps(tx: Write, deploy: DeployRow, planned: list[PlannedStep]) -> None:
    ids: dict[StepKey, str] = {step.key: tx.new_id("stp") for step in planned}
    for position, step in enumerate(planned):
        tx.session.add(
            StepRow(
                id=ids[step.key],
                deploy_id=deploy.id,
                position=position,
                component=step.piece.name,
                kind=step.key[1],
                phase="waiting",
                needs=[ids[need] for need in step.needs],
                conditional=step.conditional,
                config=step.piece.config,
                digest=step.piece.digest,
                repository=step.piece.repository,
                build_id=step.piece.build_id,
                fingerprint=step.piece.fingerprint or "",
            )
        )
    tx.session.flush()


def advance(tx: Write, deploy: DeployRow, event: engine.Event) -> None:
    """Decide what follows from an event, and do it."""
    steps = {step.id: step for step in steps_of(tx, deploy.id)}
    states = tuple(_state(tx, deploy, step) for step in steps.values())
    state = engine.DeployState(states, cancelling=deploy.status == "cancelling")
    for change in engine.decide(state, event):
        match change:
            case engine.SetPhase(step_id, phase, because):
                _set_phase(tx, deploy, steps[step_id], phase, because)
            case engine.Enqueue(step_id):
                _enqueue(tx, deploy, steps[step_id])
            case engine.Replan(step_id):
                steps[step_id].replans += 1
                tx.emit("step.replanned", step_id, after={"component": steps[step_id].component})
            case engine.CancelJob(step_id):
                _cancel_job(tx, steps[step_id])
            case engine.End(status):
                _end(tx, deploy, status, list(steps.values()))
    moved(tx, deploy)


def _state(tx: Read, deploy: DeployRow, row: StepRow) -> engine.StepState:
    return engine.StepState(
        id=row.id,
        component=row.component,
        kind=row.kind,
        phase=row.phase,
        needs=tuple(row.needs),
        conditional=row.conditional,
        plan_empty=_nothing_to_apply(tx, deploy, row),
        outputs_changed=row.outputs_changed,
        replans=row.replans,
    )


def _nothing_to_apply(tx: Read, deploy: DeployRow, step: StepRow) -> bool:
    """Whether the step's plan is empty. After an apply that did not end well even an empty one is applied, for its outputs."""
    installed = tx.session.get(InstalledComponentRow, (deploy.install_id, step.component))
    return step.plan is not None and step.plan.empty and (installed is None or installed.fingerprint is not None)


def moved(tx: Write, deploy: DeployRow) -> None:
    """Whoever watches the deploy looks again."""
    deploy.version += 1
    tx.ring(topic(deploy.id))


def _set_phase(tx: Write, deploy: DeployRow, step: StepRow, phase: engine.StepPhase, because: str) -> None:
    step.phase = phase
    if phase == "waiting":
        step.started_at = step.ended_at = step.failure = None
    elif phase != "active":
        step.ended_at = tx.now
    if because:
        step.failure = Failure(code="dependency_failed", message=f"not run, because {because} did not end well")
    if step.kind == "apply" and phase == "skipped":
        _mark_in_work(tx, deploy, step)  # a plan without changes still brings the component to this release
    installed = tx.session.get(InstalledComponentRow, (deploy.install_id, step.component))
    if step.kind == "apply" and phase in ("succeeded", "skipped") and installed and deploy.release_id:
        installed.status = "deployed"
        installed.fingerprint = step.fingerprint
        installed.release_id = deploy.release_id
        installed.updated_at = tx.now
    elif phase in ("failed", "cancelled") and installed:
        installed.fingerprint = None  # whatever it was meant to get, it hasn't: the next deploy plans it again
        if installed.status in ("deploying", "removing"):
            installed.status = "failed"
    elif step.kind == "destroy" and phase == "succeeded" and installed:
        tx.session.delete(installed)
    tx.emit(
        f"step.{phase}",
        step.id,
        after={
            "deploy": deploy.id,
            "component": step.component,
            "kind": step.kind,
            "failure": step.failure.model_dump(mode="json") if step.failure else None,
        },
    )


def _enqueue(tx: Write, deploy: DeployRow, step: StepRow) -> None:
    job = queue.enqueue(tx, step.kind, step_id=step.id, install_id=deploy.install_id)
    step.job_id = job.id
    step.started_at = tx.now
    _mark_in_work(tx, deploy, step)


def _mark_in_work(tx: Write, deploy: DeployRow, step: StepRow) -> None:
    """From the first step on that can leave something in the account, the install says that the component is there."""
    installed = tx.session.get(InstalledComponentRow, (deploy.install_id, step.component))
    if step.kind == "destroy" and installed:
        installed.status, installed.fingerprint = "removing", None
    elif step.kind == "apply" and deploy.release_id:
        if installed is None:
            installed = InstalledComponentRow(
                install_id=deploy.install_id,
                name=step.component,
                status="deploying",
                release_id=deploy.release_id,
                build_id=step.build_id,
                config=step.config,
                digest=step.digest,
                repository=step.repository,
                outputs={},
                sensitive_outputs=[],
                updated_at=tx.now,
            )
            tx.session.add(installed)
        installed.status, installed.fingerprint = "deploying", None
        installed.release_id, installed.build_id = deploy.release_id, step.build_id
        installed.config, installed.digest, installed.repository = step.config, step.digest, step.repository
        installed.updated_at = tx.now
    tx.session.flush()


def _cancel_job(tx: Write, step: StepRow) -> None:
    job = tx.session.get(JobRow, step.job_id) if step.job_id else None
    if job:
        queue.request_cancel(tx, job)


def _end(tx: Write, deploy: DeployRow, status: str, steps: list[StepRow]) -> None:
    deploy.status = status  # type: ignore[assignment]
    deploy.ended_at = tx.now
    deploy.failure = next((step.failure for step in steps if step.phase == "failed"), None)
    tx.emit(
        f"deploy.{status}",
        deploy.id,
        after={"failure": deploy.failure.model_dump(mode="json") if deploy.failure else None},
    )


def step_ended(tx: Write, job: JobRow, outcome: str, result: JobResult | None, failure: Failure | None) -> None:
    """A step's job is over: note what it brought, and go on."""
    step = tx.session.get(StepRow, job.step_id) if job.step_id else None
    if step is None:
        raise LookupError(f"job {job.id} belongs to no step")
    deploy = find(tx, step.deploy_id)
    step.failure = failure
    if isinstance(result, PlanResult):
        step.plan = result.summary
    if isinstance(result, ApplyResult):
        outputs = (result.outputs, sorted(result.sensitive_outputs))
        installed = tx.session.get(InstalledComponentRow, (deploy.install_id, step.component))
        step.outputs_changed = result.outputs_changed
        if installed and step.kind == "apply":
            # An agent that was stopped before it could report compares with what it stored, not with what is known here.
            step.outputs_changed |= (installed.outputs, installed.sensitive_outputs) != outputs
            installed.outputs, installed.sensitive_outputs = outputs
    event = engine.StepEnded(
        step.id,
        outcome,  # type: ignore[arg-type]
        plan_empty=_nothing_to_apply(tx, deploy, step),
        outputs_changed=step.outputs_changed,
        interrupted=failure is not None and failure.code == "apply_interrupted",
    )
    advance(tx, deploy, event)


def cancel(tx: Write, deploy: str) -> DeployRow:
    """Stop a deploy: what waits is not run, what runs is asked to end as soon as it is safe."""
    row = find(tx, deploy)
    if row.ended_at is not None:
        raise ConflictError(f"deploy {row.id} has ended already: {row.status}")
    if row.status != "cancelling":
        tx.emit("deploy.cancel_requested", row.id)
        advance(tx, row, engine.CancelRequested())
        if row.ended_at is None:
            row.status = "cancelling"
        _end_queued(tx, row)
    return row


def _end_queued(tx: Write, deploy: DeployRow) -> None:
    """Jobs that no agent has yet can be cancelled on the spot."""
    for step in steps_of(tx, deploy.id):
        job = tx.session.get(JobRow, step.job_id) if step.phase == "active" and step.job_id else None
        if job and job.state == "queued":
            queue.close(tx, job, "cancelled", None)
            step_ended(tx, job, "cancelled", None, None)
