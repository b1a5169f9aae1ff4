"""Issuing and redeeming tickets.

A pull ticket works once, for one repository and one set of digests, until 60 s after it was issued. A push ticket works
while its attempt is the current one, because a long push needs fresh registry tokens.
"""

from dataclasses import dataclass
from datetime import timedelta

from api.contract.agents import RegistryAccess
from api.db.transaction import Write
from api.jobs.models import JobRow
from api.registry.access import Access, Action, Grant, Scope
from api.tickets.models import TicketRow
from api.tokens.secrets import hash_secret, matches, new_secret


@dataclass(frozen=True)
class Place:
    """A registry as agents reach it: see `RegistryAccess`."""

    url: str
    prefix: str = ""
    login_url: str = ""


def issue(
    tx: Write, job: JobRow, place: Place, *, repository: str, digests: list[str] | None, seconds: float
) -> RegistryAccess:
    """A ticket for the current attempt of a job: to pull `digests`, or to push if that is None."""
    secret = new_secret("exct")
    row = TicketRow(
        id=tx.new_id("tkt"),
        secret_hash=hash_secret(secret),
        action="push" if digests is None else "pull",
        repository=repository,
        digests=digests,
        job_id=job.id,
        attempt=job.attempt,
        expires_at=tx.now + timedelta(seconds=seconds),
    )
    tx.session.add(row)
    after = {"job": job.id, "attempt": job.attempt, "action": row.action, "repository": repository, "digests": digests}
    tx.emit("ticket.issued", row.id, after=after, install_id=job.install_id)
    return RegistryAccess(
        url=place.url,
        prefix=place.prefix,
        repository=repository,
        username=row.id,
        password=secret,
        login_url=place.login_url,
    )


@dataclass(frozen=True)
class Refused:
    """Why a credential is worth nothing."""

    reason: str


def redeem(tx: Write, username: str, password: str, scopes: tuple[Scope, ...]) -> "Grant | Refused":
    """Consume a ticket, or say why not. Either way it is an event: a replayed ticket is a sign of trouble."""
    row = tx.session.get(TicketRow, username)
    if row is None or not matches(password, row.secret_hash):
        return Refused("the ticket isn't known")
    refused = _why_not(tx, row, scopes)
    asked = [f"{scope.repository}:{','.join(sorted(scope.actions))}" for scope in scopes]
    if refused:
        after = {"reason": refused, "asked": asked, "job": row.job_id}
        tx.emit("ticket.refused", row.id, after=after, install_id=_install_of(tx, row))
        return Refused(refused)
    if scopes:
        row.used_at = tx.now
        tx.emit("ticket.used", row.id, after={"asked": asked, "job": row.job_id}, install_id=_install_of(tx, row))
    actions: frozenset[Action] = frozenset({"pull", "push"}) if row.action == "push" else frozenset({"pull"})
    digests = frozenset(row.digests) if row.digests is not None else None
    return Grant(row.id, (Access(row.repository, actions, digests),))


def _install_of(tx: Write, row: TicketRow) -> str | None:
    job = tx.session.get(JobRow, row.job_id)
    return job.install_id if job else None


def _why_not(tx: Write, row: TicketRow, scopes: tuple[Scope, ...]) -> str:
    job = tx.session.get(JobRow, row.job_id)
    if job is None or job.attempt != row.attempt or job.state not in ("leased", "unknown"):
        return "the attempt that it was issued for is over"
    if row.action == "pull" and row.used_at is not None:
        return "it was used already, and works once"
    if row.action == "pull" and row.expires_at < tx.now:
        return "it has expired"
    if any(scope.repository != row.repository for scope in scopes):
        return f"it is for the repository {row.repository} only"
    if row.action == "pull" and any(scope.actions - {"pull"} for scope in scopes):
        return "it is for pulling only"
    return ""
