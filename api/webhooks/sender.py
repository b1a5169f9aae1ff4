"""The task that follows the history for all webhooks, and sends what is due."""

import asyncio
import contextlib
import functools
import logging
import random
from collections.abc import Callable

from api.contract.webhooks import Delivery
from api.db.database import Database
from api.db.transaction import Write
from api.secrets.vault import Vault
from api.webhooks import deliveries, service
from api.webhooks.deliveries import Attempt
from api.webhooks.post import Answer, Poster
from api.webhooks.signing import headers

_log = logging.getLogger(__name__)

_AT_ONCE = 16
"""So many webhooks are sent to at once; one that is slow holds up nobody but itself."""
_RECHECK = 30.0
"""Seconds after which it looks without being rung for."""


class Sender:
    """One in each process. Several may share a database: a delivery is claimed before it is sent."""

    def __init__(
        self, db: Database, vault: Vault, poster: Poster, *, pace: float, random: Callable[[], float] = random.random
    ) -> None:
        self.poster = poster
        self._db = db
        self._vault = vault
        self._pace = pace
        self._random = random
        self._seen: dict[str, int] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Follow and send until cancelled, or until the server stops."""
        bell = self._db.doorbell
        wait = 0.0
        try:
            while not bell.closed:
                # An IMS without webhooks isn't woken by its events.
                topics = ("events", service.TOPIC) if self._seen else (service.TOPIC,)
                with bell.listen(*topics) as listener:
                    try:
                        wait = await self.turn()
                    except Exception:  # one bad turn must not be the last: the next one tries again
                        _log.exception("following the history for webhooks failed")
                        wait = _RECHECK
                    if ("events" in topics) == bool(self._seen):
                        await listener.wait(min(wait, _RECHECK))
                await asyncio.sleep(self._pace)  # what happens together is looked through together
        finally:
            await self._stop()

    async def turn(self) -> float:
        """Make the deliveries that the history asks for, and begin to send what is due. Seconds until more is due."""
        while True:
            found, looked = await self._db.read(deliveries.behind, self._seen)
            self._seen = looked
            for webhook_id in found:
                while await self._db.write("system", deliveries.make, webhook_id):
                    pass
            if not found:
                break
        due, wait = await self._db.read(deliveries.due)
        for webhook_id in due:
            if webhook_id not in self._busy:
                task = asyncio.create_task(self._serve(webhook_id), name=f"webhook-{webhook_id}")
                self._busy[webhook_id] = task
                task.add_done_callback(functools.partial(self._served, webhook_id))
        return _RECHECK if wait is None else wait

    async def idle(self) -> None:
        """Wait until what was begun is sent."""
        while self._busy:
            await asyncio.wait(list(self._busy.values()))
            await asyncio.sleep(0)

    async def test(self, webhook: str, actor: str) -> Delivery:
        """Send a message that tells of nothing, and say what came of it. Raises NotFoundError."""
        attempt = await self._db.write(actor, deliveries.claim_test, self._vault, webhook)
        answer = await self._post(attempt)

        def settle(tx: Write) -> Delivery:
            deliveries.settle(tx, attempt, answer, random=self._random())
            return service.show_delivery(service.delivery(tx, webhook, attempt.delivery_id))

        return await self._db.write(actor, settle)

    def _served(self, webhook_id: str, task: asyncio.Task[None]) -> None:
        del self._busy[webhook_id]
        if not task.cancelled() and (error := task.exception()):
            _log.error("sending to a webhook failed", exc_info=error)
        self._db.doorbell.ring([service.TOPIC])

    async def _serve(self, webhook_id: str) -> None:
        """Send a few of what one webhook has to get, one after the other; the rest when the others have had their turn."""
        async with self._places:
            left: list[Attempt] = await self._db.write("system", deliveries.claim, self._vault, webhook_id)
            try:
                while left:
                    answer = await self._post(left[0])
                    attempt = left.pop(0)
                    await self._db.write("system", deliveries.settle, attempt, answer, random=self._random())
            finally:
                if left:
                    with contextlib.suppress(Exception):  # else they are due when the lease has run out
                        await asyncio.shield(self._db.write("system", deliveries.give_back, left))

    async def _post(self, attempt: Attempt) -> Answer:
        at = await self._db.read(lambda tx: tx.now)
        signed = headers(attempt.delivery_id, int(at.timestamp()), attempt.body, attempt.secrets)
        return await self.poster.post(attempt.url, attempt.body, signed)

    async def _stop(self) -> None:
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.poster.close()
