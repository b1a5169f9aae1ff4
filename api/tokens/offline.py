"""A token made where the IMS's data is, with the IMS stopped: the way back in for an operator who has none left."""

from api.contract.access import TokenCreate, TokenCreated
from api.secrets.offline import opened
from api.settings import Settings
from api.tokens import service


async def create(settings: Settings, body: TokenCreate) -> TokenCreated:
    """A new token; its secret is in the answer and nowhere else.

    Raises DataInUseError, UnusableDataError, NameTakenError or InvalidError.
    """
    async with opened(settings) as (db, _, _):
        return await db.write("system", service.create, body)
