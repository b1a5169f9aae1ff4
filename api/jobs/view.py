"""Jobs as the API shows them."""

from sqlmodel import col, select

from api.contract.agents import Job
from api.contract.base import Page
from api.contract.problems import NotFoundError
from api.db.pages import page
from api.db.transaction import Read
from api.jobs.models import JobRow


def public(row: JobRow) -> Job:
    """A row as the API shows it."""
    return Job.model_validate(row.model_dump(exclude={"agent_kind", "not_before"}))


def get(tx: Read, job: str) -> Job:
    """One job."""
    row = tx.session.get(JobRow, job)
    if row is None:
        raise NotFoundError(f"there is no job {job!r}")
    return public(row)


def list_jobs(tx: Read, *, limit: int, after: str | None, state: str | None, newest_first: bool) -> Page[Job]:
    """One page of jobs."""
    query = select(JobRow)
    if state:
        query = query.where(JobRow.state == state)
    return page(tx, query, col(JobRow.id), public, limit=limit, after=after, newest_first=newest_first)
