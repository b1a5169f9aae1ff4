"""Agents' health: whether one is there, what it says of its machine, and the history of both."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from api.agents.models import AgentHealthRow, AgentRow
from api.contract.base import Page
from api.contract.health import AgentStatus, Health, HealthSample
from api.contract.problems import NotFoundError
from api.db.transaction import Read, Write
from api.settings import Intervals

_OFFLINE_A_SWEEP = 500
_SAMPLES_A_BATCH = 5000


def seen(tx: Write, row: AgentRow) -> None:
    """Note that an agent was heard of."""
    if row.offline_since is not None:
        tx.emit(
            "agent.online",
            row.id,
            after={"name": row.name, "offline_since": row.offline_since.isoformat()},
            install_id=row.install_id,
        )
        row.offline_since = None
    row.last_seen_at = tx.now


def offline_since(last_seen: datetime, now: datetime, after_seconds: float = Intervals.offline) -> datetime | None:
    """When an agent was last heard of, if that is too long ago to call it online."""
    return last_seen if (now - last_seen).total_seconds() > after_seconds else None


def status(row: AgentRow, now: datetime, intervals: Intervals) -> AgentStatus:
    """Whether an agent is there."""
    if row.revoked_at is not None:
        return "revoked"
    return "offline" if offline_since(row.last_seen_at or row.enrolled_at, now, intervals.offline) else "online"


def overdue(tx: Read, intervals: Intervals) -> bool:
    """Whether `sweep` has anything to do."""
    return bool(_gone(tx, intervals, 1))


def sweep(tx: Write, intervals: Intervals) -> None:
    """Tell the history, once, of agents that are no longer heard of."""
    for row in _gone(tx, intervals, _OFFLINE_A_SWEEP):
        row.offline_since = row.last_seen_at
        tx.emit("agent.offline", row.id, after={"name": row.name, "since": _iso(row.last_seen_at)}, install_id=row.install_id)


def _gone(tx: Read, intervals: Intervals, limit: int) -> list[AgentRow]:
    return tx.all(
        select(AgentRow)
        .where(
            col(AgentRow.offline_since).is_(None),
            col(AgentRow.revoked_at).is_(None),
            col(AgentRow.last_seen_at) < tx.now - timedelta(seconds=intervals.offline),
        )
        .limit(limit)
    )


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def record(tx: Write, agent_id: str, health: Health) -> None:
    """Keep what an agent said of itself; of one minute, what it said first."""
    minute = tx.now.replace(second=0, microsecond=0)
    agent = tx.session.get_one(AgentRow, agent_id)
    if agent.health_at == minute:
        return
    try:
        with tx.session.begin_nested():
            tx.session.add(AgentHealthRow(agent_id=agent_id, at=minute, health=health))
    except IntegrityError:  # it said so to another replica, too
        return
    agent.health_at = minute
    agent.version = health.version


def loads(tx: Read, agents: Iterable[AgentRow]) -> dict[str, HealthSample]:
    """The newest sample of each agent, in one query."""
    ids = [agent.id for agent in agents if agent.health_at]
    if not ids:
        return {}
    query = (
        select(AgentHealthRow)
        .join(AgentRow, col(AgentRow.id) == col(AgentHealthRow.agent_id))
        .where(col(AgentRow.health_at) == col(AgentHealthRow.at), col(AgentRow.id).in_(ids))
    )
    return {row.agent_id: _sample(row) for row in tx.all(query)}


def _sample(row: AgentHealthRow) -> HealthSample:
    return HealthSample(at=row.at, **row.health.model_dump())


def history(tx: Read, agent: str, *, since: datetime | None, after: datetime | None, limit: int) -> Page[HealthSample]:
    """One page of an agent's samples, oldest first. Raises NotFoundError."""
    if tx.session.get(AgentRow, agent) is None:
        raise NotFoundError(f"there is no agent {agent!r}")
    query = select(AgentHealthRow).where(AgentHealthRow.agent_id == agent)
    if since:
        query = query.where(AgentHealthRow.at >= since)
    if after:
        query = query.where(AgentHealthRow.at > after)
    rows = tx.all(query.order_by(col(AgentHealthRow.at)).limit(limit + 1))
    return Page(items=[_sample(row) for row in rows[:limit]], after=_iso(rows[limit - 1].at) if len(rows) > limit else None)


def prune(tx: Write, days: float) -> bool:
    """Remove samples that are too old, some at a time. Whether there may be more."""
    old = (
        select(AgentHealthRow.agent_id, AgentHealthRow.at)
        .where(AgentHealthRow.at < tx.now - timedelta(days=days))
        .order_by(col(AgentHealthRow.at))
        .limit(_SAMPLES_A_BATCH)
    )
    rows = tx.session.exec(old).all()
    if not rows:
        return False
    newest = max(at for _, at in rows)
    tx.session.execute(delete(AgentHealthRow).where(col(AgentHealthRow.at) <= newest))
    return len(rows) == _SAMPLES_A_BATCH
