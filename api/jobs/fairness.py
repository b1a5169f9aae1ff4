"""Whose build is next: build agents are shared by all apps, so one app's hundred builds must not hold up another's one."""

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select

from api.builds.models import BuildRow
from api.db.transaction import Read, Write
from api.jobs.models import BuildTurnRow, JobRow


def next_build(tx: Read) -> JobRow | None:
    """The oldest build job of the app with the fewest builds in work; among such apps, of the one served longest ago."""
    in_work = (
        select(BuildRow.app_id, func.count().label("jobs"))
        .join(JobRow, col(JobRow.build_id) == col(BuildRow.id))
        .where(JobRow.state == "leased", JobRow.agent_kind == "build", col(JobRow.install_id).is_(None))
        .group_by(BuildRow.app_id)
        .subquery()
    )
    return tx.first(
        select(JobRow)
        .join(BuildRow, col(BuildRow.id) == col(JobRow.build_id))
        .outerjoin(in_work, in_work.c.app_id == col(BuildRow.app_id))
        .outerjoin(BuildTurnRow, col(BuildTurnRow.app_id) == col(BuildRow.app_id))
        .where(
            JobRow.state == "queued",
            JobRow.agent_kind == "build",
            col(JobRow.install_id).is_(None),
            col(JobRow.not_before).is_(None) | (col(JobRow.not_before) <= tx.now),
        )
        .order_by(func.coalesce(in_work.c.jobs, 0), col(BuildTurnRow.at).nulls_first(), col(JobRow.id))
        .limit(1)
    )


def took_turn(tx: Write, build_id: str) -> None:
    """A build was leased: its app has had its turn."""
    build = tx.session.get_one(BuildRow, build_id)
    turn = tx.session.get(BuildTurnRow, build.app_id)
    if turn:
        turn.at = tx.now
        return
    try:
        with tx.session.begin_nested():
            tx.session.add(BuildTurnRow(app_id=build.app_id, at=tx.now))
    except IntegrityError:  # another replica leased the app's first build at the same moment
        pass
