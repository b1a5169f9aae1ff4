"""Plans the deploys that were made many at once (see `making`), beside everything else that the IMS does."""

import asyncio
import logging

from sqlalchemy.exc import DBAPIError

from api.db.database import Database
from api.deploys import making
from api.deploys.models import PENDING
from api.secrets.vault import Vault

_log = logging.getLogger(__name__)

_AT_ONCE = 25
"""So many deploys share a write: some 50 ms, in which no agent gets an answer."""
_LOOK_EVERY = 60.0
"""Seconds; rings come sooner. It is for what another process left behind."""
_RETRY_SECONDS = 5.0


async def run(db: Database, vault: Vault) -> None:
    """Until cancelled, or the server stops. What is left then is planned after the next start: it is rows."""
    with db.doorbell.listen(PENDING) as listener:
        while not db.doorbell.closed:
            try:
                await plan_all(db, vault)
            except Exception:  # the database is away, most likely: look again
                _log.exception("planning deploys failed")
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            await listener.wait(_LOOK_EVERY)


async def plan_all(db: Database, vault: Vault) -> None:
    """Plan until nothing is pending. A deploy that can't be planned for a reason that nobody foresaw fails alone."""
    at_once = _AT_ONCE
    while (found := await db.read(making.oldest_pending, at_once)) and found[1]:
        actor, deploy_ids = found
        try:
            await db.write(actor, making.plan_pending, vault, deploy_ids)
        except DBAPIError:
            raise
        except Exception:
            _log.exception("planning %s couldn't be done", ", ".join(deploy_ids))
            if at_once == 1:
                await db.write("system", making.give_up, deploy_ids)
            at_once = 1
