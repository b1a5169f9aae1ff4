"""The vendor's registry as a job gives it to its agent."""

import httpx

from agent.oci.client import RegistryClient
from agent.oci.token import Credential, LoginTicket
from api.contract.agents import RegistryAccess


def registry_of(access: RegistryAccess, http: httpx.AsyncClient) -> RegistryClient:
    """A client with the job's ticket. Use one for the whole job: what the ticket buys serves all of it."""
    ticket = Credential(access.username, access.password)
    credential = LoginTicket(access.login_url, ticket) if access.login_url else ticket
    return RegistryClient(access.url, credential, http, prefix=access.prefix)
