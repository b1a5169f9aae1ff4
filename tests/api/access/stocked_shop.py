"""A shop with one of everything that a token may be kept from."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from ims_driver import Clock, running_ims
from opened import Opened
from shop import Shop
from signed_release import sign

from api.db.transaction import Write
from api.webhooks.models import DeliveryRow


@dataclass(frozen=True)
class StockedShop(Shop):
    """`acme` with a deploy and its jobs; beside it `initech` of the shop, and `depot` of another app, `warehouse`."""

    objects: dict[str, str] = field(default_factory=dict)
    """By what stands for them in the paths of routes."""


@contextmanager
def stocked(opened: Opened, before: Shop, data: Path) -> Iterator[tuple[Opened, StockedShop]]:
    """A shop that has opened, stocked in this folder; its IMS has stopped."""

    async def stock() -> StockedShop:
        # Between what the test is given and what it makes: ids sort by time.
        clock = Clock(Clock().now - timedelta(seconds=30))
        async with running_ims(data, clock, before.ims.token, database_url=url) as ims:
            shop = StockedShop(ims, replace(before.builder, ims=ims), before.release)
            shop.objects.update(await _one_of_everything(shop))
            return shop

    with opened.copied(data) as url:
        shop = asyncio.run(stock())
        yield Opened(data, url, opened.server), shop


async def _one_of_everything(shop: Shop) -> dict[str, str]:
    ims = shop.ims
    agent = await shop.install("acme")
    await shop.deploy("acme")
    await ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": "initech"})
    await ims.ok("POST", "/v1/apps", {"name": "warehouse"})
    await ims.ok("POST", "/v1/installs", {"app_id": "warehouse", "name": "depot"})
    secret = await ims.ok("POST", "/v1/secrets", {"name": "key", "value": "v", "install_id": "acme"})
    webhook = await ims.ok(
        "POST", "/v1/webhooks", {"name": "hook", "url": "https://93.184.215.14/", "install_id": "acme", "enabled": False}
    )
    await ims.state.db.write("system", _send_again, webhook["id"])
    await sign(ims, shop.release)
    enrollment = await ims.ok("POST", "/v1/agents/enrollments", {"kind": "install", "install_id": "acme"})
    deliveries = (await ims.ok("GET", f"/v1/webhooks/{webhook['id']}/deliveries"))["items"]
    builds, deploys, installs, apps, tokens = [
        (await ims.ok("GET", f"/v1/{kind}"))["items"] for kind in ("builds", "deploys", "installs", "apps", "tokens")
    ]
    return {
        "app": next(one["id"] for one in apps if one["name"] == "shop"),
        "component": "network",
        "install": next(one["id"] for one in installs if one["name"] == "acme"),
        "build": builds[0]["id"],
        "release": shop.release["id"],
        "deploy": deploys[0]["id"],
        "step": deploys[0]["steps"][0]["id"],
        "job": deploys[0]["steps"][0]["job_id"],
        "enrollment": enrollment["id"],
        "secret": secret["id"],
        "webhook": webhook["id"],
        "session": "ses_1",
        "delivery": deliveries[0]["id"],
        "agent": agent.id,
        "token": tokens[0]["id"],
        "seq": "0",
    }


def _send_again(tx: Write, webhook: str) -> None:
    """Make a delivery of what has happened, as if the webhook were on."""
    tx.session.add(
        DeliveryRow(
            id="msg_1", webhook_id=webhook, seq=1, action="app.created", status="failed", created_at=tx.now, ended_at=tx.now
        )
    )
