"""What a release's life means."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from sqlmodel import col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from api.apps import service as apps
from api.apps.models import AppRow
from api.builds import service as builds
from api.builds.models import BuildRow
from api.components import service as components
from api.components.graph import check_release, check_secrets, suggestion
from api.components.models import ComponentConfigRow, ComponentRow
from api.components.modules import check_modules
from api.contract.base import Failure, Page
from api.contract.components import ComponentConfig
from api.contract.labels import check_labels
from api.contract.problems import FieldProblem, InUseError, InvalidError, NotFoundError
from api.contract.resources import Release, ReleaseBuild, ReleaseCreate, ReleaseStatus
from api.db.pages import page
from api.db.statements import Query, among
from api.db.transaction import Read, Write
from api.deploys.models import DeployRow
from api.installs.models import InstalledComponentRow, InstallRow
from api.jobs import waiting
from api.releases.models import LABELS, ReleaseBuildRow, ReleaseRow, ReleaseSignatureRow
from api.secrets import values as named_secrets


def topic(release_id: str) -> str:
    """What somebody listens to who waits for a release."""
    return f"release:{release_id}"


_LINKS = Query(
    select(ReleaseBuildRow).where(among(ReleaseBuildRow.release_id, "releases")).order_by(col(ReleaseBuildRow.component))
)


_LINKED = Query(
    select(BuildRow).where(
        col(BuildRow.id).in_(select(ReleaseBuildRow.build_id).where(among(ReleaseBuildRow.release_id, "releases")))
    )
)


def load(
    tx: Read,
    release_ids: Collection[str | None],
    *more: tuple[Query[Any], dict[str, Any]],
    keys: Mapping[type, Iterable[str | None]] = MappingProxyType({}),
) -> list[Any]:
    """Look up at once what was made for many releases. Gives the rows of more queries, which are asked at the same time."""
    of = {"releases": [one for one in release_ids if one]}
    links, _, *found = tx.fetch((_LINKS, of), (_LINKED, of), *more, keys={ReleaseRow: release_ids, **keys})
    for row in tx.get_many(ReleaseRow, release_ids):
        if row.status == "ready":  # what it has stays as it is
            tx.memo["links", row.id] = [link for link in links if link.release_id == row.id]
    return [row for rows in found for row in rows]


def builds_of(tx: Read, *release_ids: str) -> list[tuple[ReleaseBuildRow, BuildRow]]:
    """The builds of a release, or of several, by component."""
    links: list[ReleaseBuildRow] | None = tx.memo.get(("links", release_ids[0])) if len(release_ids) == 1 else None
    if links is None:
        links = tx.all(_LINKS, releases=release_ids)
    made = {build.id: build for build in tx.get_many(BuildRow, (link.build_id for link in links))}
    return [(link, made[link.build_id]) for link in links]


def digests_of(tx: Read, release_id: str) -> dict[str, str]:
    """The artifact of each component of a release that is ready."""
    known: dict[str, str] | None = tx.memo.get(("digests", release_id))
    if known is None:
        made = builds_of(tx, release_id)
        known = {link.component: build.artifact.digest for link, build in made if build.artifact}
        tx.memo["digests", release_id] = known
    return known


def parts_of(tx: Read, release_id: str) -> tuple[dict[str, ComponentConfig], dict[str, BuildRow]]:
    """What a release was made of and what was made of it: configs and builds, by component."""
    made = {link.component: build for link, build in builds_of(tx, release_id)}
    configs = {row.id: row.config for row in tx.get_many(ComponentConfigRow, (build.config_id for build in made.values()))}
    return {component: configs[build.config_id] for component, build in made.items()}, made


def configs_of(tx: Read, release_id: str) -> dict[str, ComponentConfig]:
    """The configs that a release was made of, by component."""
    return parts_of(tx, release_id)[0]


def public(tx: Read, row: ReleaseRow) -> Release:
    """A row as the API shows it."""
    return publics(tx, [row])[0]


def publics(tx: Read, rows: list[ReleaseRow]) -> list[Release]:
    """The same of many rows. The number of queries doesn't grow with them."""
    made = builds_of(tx, *(row.id for row in rows))
    names = {app.id: app.name for app in tx.get_many(AppRow, (row.app_id for row in rows))}
    build_ids = list({build.id for _, build in made})
    made_of, jobs = builds.components_of(tx, build_ids), builds.jobs_of(tx, build_ids)
    why = waiting.reasons(tx, jobs.values())
    signed_by = {row.release_id: row.signed_by for row in tx.get_many(ReleaseSignatureRow, [row.id for row in rows])}
    shown: defaultdict[str, list[ReleaseBuild]] = defaultdict(list)
    for link, build in made:
        waiting_for = why[jobs[build.id].id] if build.id in jobs else ""
        shown[link.release_id].append(_build(link, build, made_of[build.id][1], waiting_for))
    return [
        Release(
            app_name=names[row.app_id],
            builds=shown[row.id],
            waiting_for=""
            if row.ended_at
            else "; ".join(f"{x.component}: {x.waiting_for}" for x in shown[row.id] if x.waiting_for),
            signed_by=signed_by.get(row.id),
            **row.model_dump(exclude={"deleted_at"}),
        )
        for row in rows
    ]


def _build(link: ReleaseBuildRow, build: BuildRow, config: ComponentConfigRow, waiting_for: str) -> ReleaseBuild:
    return ReleaseBuild(
        component=link.component,
        component_version=config.version,
        kind=config.config.kind,
        build_id=build.id,
        reused=link.reused,
        status=build.status,
        source_revision=build.source_revision,
        digest=build.artifact.digest if build.artifact else None,
        failure=build.failure,
        waiting_for=waiting_for,
    )


def find(tx: Read, release: str, *, field: str | None = None) -> ReleaseRow:
    """The release with this id. Raises NotFoundError, or InvalidError on `field` if the id came in a body."""
    row = tx.get(ReleaseRow, release)
    if row is None or row.deleted_at is not None or not tx.scope.holds(app_id=row.app_id, install_id=None):
        if field:
            raise InvalidError.at(field, f"there is no release {release!r}", "Give the id of a release that exists.")
        raise NotFoundError(f"there is no release {release!r}")
    return row


def numbered(tx: Read, app_id: str, number: int) -> ReleaseRow:
    """An app's release with this number. Raises InvalidError on `release_number`."""
    of_app = select(ReleaseRow).where(ReleaseRow.app_id == app_id, col(ReleaseRow.deleted_at).is_(None))
    row = tx.first(of_app.where(ReleaseRow.number == number))
    if row is None:
        raise InvalidError.at("release_number", f"the app has no release {number}", "Give the number of one that exists.")
    return row


def get(tx: Read, release: str) -> Release:
    """One release."""
    return public(tx, find(tx, release))


def list_releases(
    tx: Read,
    *,
    limit: int,
    after: str | None,
    app: str | None,
    number: int | None,
    status: ReleaseStatus | None,
    selector: str | None,
    newest_first: bool,
) -> Page[Release]:
    """One page of releases."""
    query = tx.scope.narrow(select(ReleaseRow).where(col(ReleaseRow.deleted_at).is_(None)), app=ReleaseRow.app_id)
    if app:
        query = query.where(ReleaseRow.app_id == apps.find(tx, app).id)
    if number is not None:
        query = query.where(ReleaseRow.number == number)
    if status:
        query = query.where(ReleaseRow.status == status)
    if selector:
        query = query.where(*LABELS.selects(selector, col(ReleaseRow.id)))
    found = page(tx, query, col(ReleaseRow.id), lambda row: row, limit=limit, after=after, newest_first=newest_first)
    return Page(items=publics(tx, found.items), after=found.after)


def create(tx: Write, body: ReleaseCreate) -> Release:
    """Check the app as a whole, number the release, and build what isn't built yet."""
    app = apps.find(tx, body.app_id, field="app_id")
    chosen = _choose(tx, app, body.components)
    configs = {component.name: config.config for component, config in chosen}
    if wrong := check_labels(body.labels):
        raise InvalidError("the release's labels can't be accepted", errors=wrong)
    problems = check_release(configs, app.inputs) + check_secrets(configs, named_secrets.names_for_app(tx, app.id))
    if problems:
        raise InvalidError(f"app {app.name!r} can't be released", errors=problems)
    last = tx.session.exec(select(func.max(ReleaseRow.number)).where(ReleaseRow.app_id == app.id)).one()
    number, now = (last or 0) + 1, tx.now
    row = ReleaseRow(id=tx.new_id("rel"), app_id=app.id, number=number, status="building", labels=body.labels, created_at=now)
    tx.session.add(row)
    LABELS.put(tx, row.id, body.labels)
    for component, config in chosen:
        build, reused = builds.build_for(tx, component, config)
        tx.session.add(ReleaseBuildRow(release_id=row.id, component=component.name, build_id=build.id, reused=reused))
    tx.session.flush()
    versions = {component.name: config.version for component, config in chosen}
    after = {"app": app.name, "number": row.number, "components": versions, "labels": row.labels}
    tx.emit("release.created", row.id, after=after, app_id=app.id)
    settle(tx, row)
    return public(tx, row)


def _choose(tx: Read, app: AppRow, versions: dict[str, int]) -> list[tuple[ComponentRow, ComponentConfigRow]]:
    known = components.of_app(tx, app.id)
    if not known:
        raise InvalidError.at("components", f"app {app.name!r} has no components", "Add one before you release.")
    chosen, problems = [], []
    for name in sorted(versions or known):
        if name not in known:
            remedy = suggestion(name, list(known)) or "Give the names of components that the app has."
            message = f"app {app.name!r} has no component {name!r}; it has: {', '.join(known)}"
            problems.append(FieldProblem(field=f"components.{name}", message=message, remedy=remedy))
            continue
        component = components.find(tx, app, name)
        version = versions.get(name, component.version)
        config = components.config_at(tx, component, version) if 1 <= version <= component.version else None
        if config is None:
            message = f"component {name!r} has no version {version}; the newest is {component.version}"
            problems.append(FieldProblem(field=f"components.{name}", message=message))
            continue
        chosen.append((component, config))
    if problems:
        raise InvalidError(f"app {app.name!r} can't be released", errors=problems)
    return chosen


def build_moved(tx: Write, build_id: str) -> None:
    """A build has begun or ended: whoever waits for a release of it looks again."""
    for link in tx.all(select(ReleaseBuildRow).where(ReleaseBuildRow.build_id == build_id)):
        row = tx.session.get(ReleaseRow, link.release_id)
        if row and row.status == "building":
            settle(tx, row)
            tx.ring(topic(row.id))


def settle(tx: Write, row: ReleaseRow) -> None:
    """End a release whose builds have all ended: it is ready, or it has failed and says why."""
    made = builds_of(tx, row.id)
    if any(build.status in ("queued", "running") for _, build in made):
        return
    row.failure = _failure(tx, row, made)
    row.status = "failed" if row.failure else "ready"
    row.ended_at = tx.now
    tx.emit(
        f"release.{row.status}",
        row.id,
        after={
            "number": row.number,
            "digests": {link.component: build.artifact.digest for link, build in made if build.artifact},
            "failure": row.failure.model_dump(mode="json") if row.failure else None,
        },
        app_id=row.app_id,
    )


def _failure(tx: Read, row: ReleaseRow, made: list[tuple[ReleaseBuildRow, BuildRow]]) -> Failure | None:
    for link, build in made:
        if build.status != "succeeded":
            why = build.failure or Failure(code="cancelled", message="the build was cancelled")
            return why.model_copy(
                update={
                    "message": f"component {link.component}: {why.message}",
                    "field": f"components.{link.component}" + (f".{why.field.removeprefix('config.')}" if why.field else ""),
                }
            )
    return next(iter(check_modules(configs_of(tx, row.id), {link.component: build for link, build in made})), None)


def delete(tx: Write, release: str, *, force: bool = False) -> None:
    """Take a release out of the lists; its builds stay for other releases.

    Refused while installs run it or are about to, unless by `force`: they go on with it, and nobody can deploy or roll back to
    it any more.
    """
    row = find(tx, release)
    runs = select(InstalledComponentRow.install_id).where(InstalledComponentRow.release_id == row.id)
    gets = select(DeployRow.install_id).where(DeployRow.release_id == row.id, col(DeployRow.ended_at).is_(None))
    running, getting = _names(tx, runs), _names(tx, gets)
    if (running or getting) and not force:
        said = [f"runs on: {', '.join(running)}"] if running else []
        said += [f"is being deployed to: {', '.join(getting)}"] if getting else []
        raise InUseError(f"release {row.number} {' and '.join(said)}", remedy="Deploy another release there first.")
    row.deleted_at = tx.now
    after = {"force": True, "runs_on": sorted({*running, *getting})} if force else None
    tx.emit("release.deleted", row.id, before={"number": row.number}, after=after, app_id=row.app_id)


def _names(tx: Read, install_ids: SelectOfScalar[str]) -> list[str]:
    named = select(InstallRow.name).where(col(InstallRow.id).in_(install_ids), col(InstallRow.deleted_at).is_(None))
    return tx.all(named.order_by(col(InstallRow.name)))
