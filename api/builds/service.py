"""What a build's life means."""

from collections.abc import Sequence

from sqlmodel import col, func, select

from api.apps.models import AppRow
from api.builds.models import BuildRow
from api.components.models import ComponentConfigRow, ComponentRow
from api.components.service import same_source
from api.contract.agents import BuildResult
from api.contract.base import Failure, Page
from api.contract.components import ComponentConfig, ContainerImageConfig, GitSource, PathSource
from api.contract.problems import NotFoundError
from api.contract.resources import Build, BuildStatus
from api.db.pages import page
from api.db.transaction import Read, Write
from api.jobs import queue, waiting
from api.jobs.models import JobRow


def repository(app: str, component: str) -> str:
    """Where a component's artifacts live, in the vendor's registry and in each customer's."""
    return f"{app}/{component}"


def names(tx: Read, row: BuildRow) -> tuple[str, str, ComponentConfigRow]:
    """The build's app, component and config."""
    app = tx.session.get(AppRow, row.app_id)
    component = tx.session.get(ComponentRow, row.component_id)
    config = tx.session.get(ComponentConfigRow, row.config_id)
    if app is None or component is None or config is None:
        raise LookupError(f"build {row.id} has lost what it was made of")
    return app.name, component.name, config


def components_of(tx: Read, build_ids: Sequence[str]) -> dict[str, tuple[str, ComponentConfigRow]]:
    """The component and config of each build, in one query."""
    query = (
        select(BuildRow.id, ComponentRow.name, ComponentConfigRow)
        .join(ComponentRow, col(ComponentRow.id) == col(BuildRow.component_id))
        .join(ComponentConfigRow, col(ComponentConfigRow.id) == col(BuildRow.config_id))
        .where(col(BuildRow.id).in_(build_ids))
    )
    return {build: (component, config) for build, component, config in tx.session.exec(query)}


def jobs_of(tx: Read, build_ids: Sequence[str]) -> dict[str, JobRow]:
    """The newest job of each build, in one query."""
    query = select(JobRow).where(col(JobRow.build_id).in_(build_ids)).order_by(col(JobRow.id))
    return {job.build_id: job for job in tx.all(query) if job.build_id}


def publics(tx: Read, rows: list[BuildRow]) -> list[Build]:
    """Rows as the API shows them."""
    jobs = jobs_of(tx, [row.id for row in rows])
    made_of = components_of(tx, [row.id for row in rows])
    why = waiting.reasons(tx, jobs.values())
    found = []
    for row in rows:
        component, config = made_of[row.id]
        found.append(
            Build(
                component=component,
                component_version=config.version,
                waiting_for=why[jobs[row.id].id] if row.id in jobs else "",
                **row.model_dump(exclude={"component_id", "config_id"}),
            )
        )
    return found


def find(tx: Read, build: str) -> BuildRow:
    """The build with this id. Raises NotFoundError."""
    row = tx.session.get(BuildRow, build)
    if row is None or not tx.scope.holds(app_id=row.app_id, install_id=None):
        raise NotFoundError(f"there is no build {build!r}")
    return row


def get(tx: Read, build: str) -> Build:
    """One build."""
    return publics(tx, [find(tx, build)])[0]


def list_builds(
    tx: Read,
    *,
    limit: int,
    after: str | None,
    app_id: str | None,
    component: str | None,
    component_version: int | None,
    status: BuildStatus | None,
    newest_first: bool,
) -> Page[Build]:
    """One page of builds."""
    query = tx.scope.narrow(select(BuildRow), app=BuildRow.app_id)
    if app_id:
        query = query.where(BuildRow.app_id == app_id)
    if component:
        query = query.where(col(BuildRow.component_id).in_(select(ComponentRow.id).where(ComponentRow.name == component)))
    if component_version is not None:
        of_version = select(ComponentConfigRow.id).where(ComponentConfigRow.version == component_version)
        query = query.where(col(BuildRow.config_id).in_(of_version))
    if status:
        query = query.where(BuildRow.status == status)
    found = page(tx, query, col(BuildRow.id), lambda row: row, limit=limit, after=after, newest_first=newest_first)
    return Page(items=publics(tx, found.items), after=found.after)


def repeatable(config: ComponentConfig) -> bool:
    """Whether the config alone says what the source is, so that a build of it never needs to be made twice."""
    if isinstance(config, ContainerImageConfig):
        # A tag may stand for another image tomorrow; copying what is there already costs a few requests.
        image = next(image for name in config.exactly_one_of if (image := getattr(config, name)) is not None)
        return str(image.tag).startswith("sha256:")
    source = getattr(config, "source", None)
    if source is None:
        return True
    if isinstance(source.path, PathSource):
        return source.path.digest is not None
    return isinstance(source.git, GitSource) and len(source.git.ref) == 40 and set(source.git.ref) <= set("0123456789abcdef")


def usable(tx: Read, configs: Sequence[ComponentConfigRow]) -> dict[str, BuildRow]:
    """The builds that a new release would use again, by config id: those that haven't begun, and those that can be repeated.

    One that has begun may have fetched a source that has moved since.
    """
    known = {config.id: config for config in configs}
    query = select(BuildRow).where(
        col(BuildRow.config_id).in_(known), col(BuildRow.status).in_(("queued", "running", "succeeded"))
    )
    newest = {row.config_id: row for row in tx.all(query.order_by(col(BuildRow.id)))}
    return {of: row for of, row in newest.items() if row.status == "queued" or repeatable(known[of].config)}


def declaring(tx: Read, app_id: str, configs: dict[str, ComponentConfig]) -> dict[str, BuildRow]:
    """The builds that tell already what components of these configs declare: the newest ones, where the source is the same."""
    last = select(func.max(BuildRow.id)).where(BuildRow.app_id == app_id, BuildRow.status == "succeeded")
    query = (
        select(ComponentRow.name, ComponentConfigRow, BuildRow)
        .join(BuildRow, col(BuildRow.component_id) == col(ComponentRow.id))
        .join(ComponentConfigRow, col(ComponentConfigRow.id) == col(BuildRow.config_id))
        .where(col(BuildRow.id).in_(last.group_by(col(BuildRow.component_id))), col(ComponentRow.deleted_at).is_(None))
    )
    return {
        name: build
        for name, was, build in tx.session.exec(query)
        if name in configs and repeatable(was.config) and same_source(was.config, configs[name])
    }


def build_for(tx: Write, component: ComponentRow, config: ComponentConfigRow) -> tuple[BuildRow, bool]:
    """A build of a config, and whether an earlier release had made it: see `usable`."""
    if earlier := usable(tx, [config]).get(config.id):
        return earlier, True
    row = BuildRow(
        id=tx.new_id("bld"),
        app_id=component.app_id,
        component_id=component.id,
        config_id=config.id,
        status="queued",
        variables=[],
        outputs=[],
        created_at=tx.now,
    )
    tx.session.add(row)
    tx.session.flush()
    after = {"component": component.name, "version": config.version}
    tx.emit("build.created", row.id, after=after, app_id=row.app_id)
    queue.enqueue(tx, "build", build_id=row.id)
    return row, False


def started(tx: Write, row: BuildRow) -> None:
    """A build agent has the job."""
    if row.status == "queued":
        row.status = "running"


def ended(tx: Write, row: BuildRow, outcome: str, result: BuildResult | None, failure: Failure | None) -> None:
    """The job is over: the build is what it made of it."""
    row.status = outcome  # type: ignore[assignment]
    row.ended_at = tx.now
    row.failure = failure
    if result:
        row.source_revision = result.source_revision
        row.artifact = result.artifact
        row.variables = result.variables
        row.outputs = result.outputs
    tx.emit(
        f"build.{outcome}",
        row.id,
        after={
            "digest": result.artifact.digest if result else None,
            "source_revision": result.source_revision if result else None,
            "failure": failure.model_dump(mode="json") if failure else None,
        },
        app_id=row.app_id,
    )
