"""Jobs as the API shows them."""

from sqlmodel import col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from api.builds.models import BuildRow
from api.contract.agents import Job
from api.contract.base import Page
from api.contract.problems import NotFoundError
from api.db.pages import page
from api.db.transaction import Read
from api.installs import service as installs
from api.installs.models import InstallRow
from api.jobs.models import JobRow


def public(tx: Read, row: JobRow) -> Job:
    """A row as the API shows it."""
    return publics(tx, [row])[0]


def publics(tx: Read, rows: list[JobRow]) -> list[Job]:
    """The same of many rows. The number of queries doesn't grow with them."""
    names = {install.id: install.name for install in tx.get_many(InstallRow, (row.install_id for row in rows))}
    hidden = {"agent_kind", "not_before"}
    return [Job(install_name=names.get(row.install_id or ""), **row.model_dump(exclude=hidden)) for row in rows]


def _within(tx: Read, query: SelectOfScalar[JobRow]) -> SelectOfScalar[JobRow]:
    app = func.coalesce(
        select(InstallRow.app_id).where(InstallRow.id == JobRow.install_id).scalar_subquery(),
        select(BuildRow.app_id).where(BuildRow.id == JobRow.build_id).scalar_subquery(),
    )
    return tx.scope.narrow(query, app=app, install=JobRow.install_id)


def find(tx: Read, job: str) -> JobRow:
    """The job with this id. Raises NotFoundError."""
    row = tx.first(_within(tx, select(JobRow).where(JobRow.id == job)))
    if row is None:
        raise NotFoundError(f"there is no job {job!r}")
    return row


def get(tx: Read, job: str) -> Job:
    """One job."""
    return public(tx, find(tx, job))


def list_jobs(
    tx: Read,
    *,
    limit: int,
    after: str | None,
    state: str | None,
    kind: str | None,
    install: str | None,
    newest_first: bool,
) -> Page[Job]:
    """One page of jobs."""
    query = _within(tx, select(JobRow))
    if state:
        query = query.where(JobRow.state == state)
    if kind:
        query = query.where(JobRow.kind == kind)
    if install:
        query = query.where(JobRow.install_id == installs.find(tx, install).id)
    found = page(tx, query, col(JobRow.id), lambda row: row, limit=limit, after=after, newest_first=newest_first)
    return Page(items=publics(tx, found.items), after=found.after)
