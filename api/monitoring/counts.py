"""What a scrape counts in the database: a handful of grouped queries."""

from dataclasses import dataclass
from datetime import UTC, timedelta

from sqlalchemy import text
from sqlmodel import SQLModel, col, func, select

from api.agents.models import AgentRow
from api.db.transaction import Read
from api.deploys.models import DeployRow
from api.events.models import EventRow
from api.jobs.models import JobRow
from api.settings import Intervals

Found = dict[tuple[str, ...], int]


@dataclass(frozen=True)
class Counts:
    """Numbers by labels."""

    jobs: Found
    agents: Found
    deploys: Found
    deliveries: Found
    oldest_queued_seconds: float
    events: int


def count(tx: Read) -> Counts:
    """Count everything that a scrape shows."""
    oldest = tx.session.exec(select(func.min(JobRow.created_at)).where(JobRow.state == "queued")).one()
    return Counts(
        jobs=_grouped(
            tx.session.exec(select(JobRow.kind, JobRow.state, func.count()).group_by(JobRow.kind, JobRow.state)).all()
        ),
        agents=_agents(tx),
        deploys=_grouped(tx.session.exec(select(DeployRow.status, func.count()).group_by(DeployRow.status)).all()),
        deliveries=_deliveries(tx),
        oldest_queued_seconds=(tx.now - oldest.replace(tzinfo=oldest.tzinfo or UTC)).total_seconds() if oldest else 0,
        events=tx.session.exec(select(func.max(EventRow.seq))).one() or 0,  # numbered without a gap: no need to count
    )


def _grouped(rows: object) -> Found:
    return {tuple(row[:-1]): row[-1] for row in rows}  # type: ignore[attr-defined]


def _agents(tx: Read) -> Found:
    alive = col(AgentRow.revoked_at).is_(None)
    seen = func.coalesce(AgentRow.last_seen_at, AgentRow.enrolled_at) >= tx.now - timedelta(seconds=Intervals.offline)
    rows = tx.session.exec(select(AgentRow.kind, seen, func.count()).where(alive).group_by(AgentRow.kind, seen)).all()
    return {(kind, "online" if online else "offline"): number for kind, online, number in rows}


def _deliveries(tx: Read) -> Found:
    table = SQLModel.metadata.tables.get("webhook_delivery")
    if table is None or "state" not in table.c:
        return {}
    rows = tx.session.connection().execute(
        select(table.c.state, func.count()).where(table.c.state.in_(("pending", "failed"))).group_by(table.c.state)
    )
    return _grouped(rows.all())


def schema_version(tx: Read) -> str | None:
    """The migration that the database is at."""
    found: str | None = tx.session.connection().execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
