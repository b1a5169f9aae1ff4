"""Enrolment with a service token: for agents that nobody can hand a one-time token, such as those of an autoscaled group."""

from datetime import timedelta

from sqlmodel import select

from api.agents.models import AgentRow, EnrollmentRow
from api.contract.access import agent_role
from api.contract.base import AgentKind
from api.contract.enrollment import EnrollRequest
from api.contract.problems import AgentRevokedError, ConflictError, ForbiddenError, UnauthorizedError
from api.db.transaction import Read, Write
from api.installs.models import InstallRow
from api.tokens import service as tokens
from api.tokens.models import TokenRow
from api.tokens.secrets import hash_secret, new_secret

PREFIX = "excl_"
_KINDS: dict[str, AgentKind] = {agent_role("build"): "build", agent_role("install"): "install"}
_SECONDS = 60


def check_kind(role: str, kind: AgentKind) -> None:
    """Raises ForbiddenError if a token's role is that of agents of the other kind."""
    if _KINDS.get(role, kind) != kind:
        raise ForbiddenError(
            f"the role {role} enrols {_KINDS[role]} agents only",
            remedy=f"Use a token with the role {agent_role(kind)} or admin.",
        )


def enrollment(tx: Write, body: EnrollRequest) -> EnrollmentRow:
    """What the token stands for: a fresh enrolment of its kind in its scope; or the one that this key had before.

    Raises UnauthorizedError, or ForbiddenError if its role isn't an agent's or its scope isn't one install.
    """
    token = tokens.authenticate(tx, body.token)
    kind = _KINDS.get(token.role)
    if kind is None:
        raise ForbiddenError(
            f"the token {token.name!r} has the role {token.role}, which no agent has",
            remedy="Use a token with the role agent:build or agent:install, or a one-time token.",
        )
    if kind == "install" and token.install_id is None:
        raise ForbiddenError(
            f"the token {token.name!r} doesn't say of which install the agent is to be",
            remedy="Use a token with the scope of one install; or make a one-time token with this one.",
        )
    tokens.touch(tx, token.id)
    return _earlier(tx, token, kind, body.public_key) or _fresh(tx, token, kind)


def _earlier(tx: Read, token: TokenRow, kind: AgentKind, public_key: str) -> EnrollmentRow | None:
    agent = tx.first(select(AgentRow).where(AgentRow.public_key == public_key))
    if agent is None:
        return None
    if agent.revoked_at is not None:
        raise AgentRevokedError("the agent with this key was revoked", remedy="Enrol it anew, with an empty home folder.")
    if (agent.kind, agent.install_id) != (kind, token.install_id):
        raise ConflictError("this key is that of another agent", remedy="Enrol this one with an empty home folder.")
    return tx.first(select(EnrollmentRow).where(EnrollmentRow.agent_id == agent.id))


def _fresh(tx: Write, token: TokenRow, kind: AgentKind) -> EnrollmentRow:
    install = tx.session.get(InstallRow, token.install_id) if token.install_id else None
    if install and install.deleted_at is not None:
        raise UnauthorizedError(f"the install of the token {token.name!r} was deleted")
    row = EnrollmentRow(
        id=tx.new_id("enr"),
        kind=kind,
        install_id=token.install_id,
        secret_hash=hash_secret(new_secret("exce")),
        expires_at=tx.now + timedelta(seconds=_SECONDS),
        created_at=tx.now,
    )
    tx.session.add(row)
    tx.session.flush()
    after = {"kind": kind, "install": install.name if install else None, "token": token.name}
    tx.emit("enrollment.created", row.id, after=after, install_id=row.install_id)
    return row
