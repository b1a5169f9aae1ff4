"""The vendor's registry as a job gives it to its agent."""

from collections.abc import Awaitable, Callable

import httpx

from agent.oci.client import RegistryClient
from agent.oci.token import Credential, LoginTicket
from api.contract.agents import RegistryAccess


def registry_of(
    access: RegistryAccess, http: httpx.AsyncClient, renew: Callable[[], Awaitable[RegistryAccess | None]] | None = None
) -> RegistryClient:
    """A client with the job's ticket. Use one for the whole job: what the ticket buys serves as much of it as it lasts for.

    `renew` asks the IMS for another ticket, where one works only once. Of its answer only the ticket is taken.
    """
    ticket = Credential(access.username, access.password)
    credential = LoginTicket(access.login_url, ticket) if access.login_url else ticket

    async def another() -> Credential | None:
        given = await renew() if renew else None
        return Credential(given.username, given.password) if given else None

    return RegistryClient(access.url, credential, http, prefix=access.prefix, renew=another)
