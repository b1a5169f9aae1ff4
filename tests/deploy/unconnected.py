"""An IMS as a process, with installs that have no agent yet, and one that has."""

import asyncio
from collections.abc import Callable

import httpx
from click.testing import Result
from ims_driver import Agent, Ims
from server_process import ServerProcess
from shop import Shop

INSTALLS = ("acme", "acme_eu", "globex", "hooli_eu", "initech", "taken", "umbrella")

Run = Callable[..., Result]


def fill(server: ServerProcess) -> None:
    """Make the installs; `taken` has an agent."""
    asyncio.run(_fill(server))


async def _fill(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        ims: Ims = server.client(http)
        await Shop.open(ims)
        for name in INSTALLS:
            await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": name})
        await Agent.enrolled(ims, install="taken")
