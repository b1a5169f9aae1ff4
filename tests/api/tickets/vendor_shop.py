"""A shop whose artifacts are in a cloud's registry, with the jobs that reach them."""

import base64
from dataclasses import dataclass

import httpx
from ims_driver import Body, Ims
from shop import Shop, module


@dataclass(frozen=True)
class VendorShop:
    """The shop, and what its jobs are given."""

    shop: Shop

    @property
    def ims(self) -> Ims:
        return self.shop.ims

    async def pull(self) -> Body:
        """The access of a sync of `network`, leased."""
        agent = await self.shop.install("acme")
        await self.shop.begin("acme")
        return access_of(await agent.take("sync", "network"))

    async def push(self) -> Body:
        """The access of a build of `network`, leased."""
        await self.shop.change("network", module({"domain": "x"}))
        await self.ims.ok("POST", "/v1/releases", {"app_id": "shop"})
        return access_of(await self.shop.builder.take("build"))

    async def login(self, access: Body, *scopes: str, username: str = "", password: str = "") -> httpx.Response:
        """What the IMS gives for a ticket."""
        basic = f"{username or access['username']}:{password or access['password']}"
        headers = {"authorization": "Basic " + base64.b64encode(basic.encode()).decode()}
        return await self.ims.http.get("/token/login", params={"scope": scopes}, headers=headers)


def access_of(lease: Body) -> Body:
    """The registry that a leased job is given."""
    access: Body = lease["payload"]["registry"]
    return access
