"""What the registry of the IMS takes as credentials: tickets of jobs, and service tokens for pulls."""

from sqlmodel import select

from api.access import identify
from api.apps.models import AppRow
from api.contract.access import PERMISSIONS
from api.contract.agents import AGENT_REPOSITORY
from api.contract.problems import UnauthorizedError
from api.db.database import Database
from api.db.scope import EVERYTHING
from api.db.transaction import Read
from api.registry.access import Access, Grant, Scope
from api.registry.credentials import CredentialsRefusedError
from api.tickets.service import Refused, redeem

TOKEN_USER = "token"  # noqa: S105 - a name
"""With this user name, the password is a service token."""


def reader(tx: Read, secret: str, scopes: tuple[Scope, ...]) -> Grant | Refused:
    """What the owner of a service token may pull: the artifacts of all apps in its scope.

    Nobody pushes with one, but for versions of the agent (`exclave agent publish`), which an administrator of all may. It isn't
    the push that makes them versions of the agent, but the vendor's signature.
    """
    try:
        identity, _ = identify(tx, secret)
    except UnauthorizedError as error:
        return Refused(str(error))
    if identity.role not in PERMISSIONS["read"]:
        return Refused(f"{identity.name} has the role {identity.role}, which may not read")
    access = []
    for scope in scopes:
        if scope.repository == AGENT_REPOSITORY and identity.scope == EVERYTHING:
            publishes = identity.role in PERMISSIONS["administer"]
            access.append(Access(scope.repository, frozenset({"pull", "push"} if publishes else {"pull"})))
            continue
        app = tx.first(select(AppRow).where(AppRow.name == scope.repository.partition("/")[0]))
        if app is not None and identity.scope.holds(app_id=app.id, install_id=None):
            access.append(Access(scope.repository, frozenset({"pull"})))
    return Grant(identity.name, tuple(access))


class TicketCredentials:
    """Tickets, and service tokens for pulls, as the registry's token endpoint sees them.

    See `api.registry.credentials.Credentials`.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    async def grant(self, username: str, password: str, scopes: tuple[Scope, ...]) -> Grant:
        """Redeem a ticket, or see what a service token may pull. Raises CredentialsRefusedError with the reason."""
        if username == TOKEN_USER:
            found = await self._db.read(reader, password, scopes)
            if isinstance(found, Refused):
                raise CredentialsRefusedError(found.reason)
            return found
        result = await self._db.write(f"ticket:{username}"[:64], redeem, username, password, scopes)
        if isinstance(result, Refused):
            raise CredentialsRefusedError(result.reason)
        return result
