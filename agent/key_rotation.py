"""Changing the agent's key, at any age of it and through any crash."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

import httpx

from agent.backoff import FIRST_CONTACT, Backoff
from agent.identity import Home, Identity
from agent.session import Session
from api.client import ApiError, UnreachableError

log = logging.getLogger(__name__)

_LOOK_SECONDS = 3600.0


async def settle(home: Home, identity: Identity, url: str, http: httpx.AsyncClient) -> Identity:
    """Bring an earlier rotation to its end: the next key, if the IMS knows it, else the current one.

    Waits for as long as the IMS can't be asked. Raises ApiError.
    """
    waiting = home.next_key()
    if waiting is None:
        return identity
    changed = replace(identity, key=waiting)
    backoff = Backoff(eager=FIRST_CONTACT)
    while True:
        try:
            await Session(url, changed, http).sign_in()
        except UnreachableError as error:
            log.warning("key rotation waits: %s", error)
            await asyncio.sleep(backoff.next())
        except ApiError as error:
            if not error.of_ims:
                log.warning("key rotation waits: %s", error)
                await asyncio.sleep(backoff.next(error.retry_after))
                continue
            if error.status != 401:
                raise
            home.drop_next_key()
            return identity
        else:
            home.take_next_key()
            return changed


async def rotate(home: Home, session: Session) -> None:
    """Make a new key, and have the IMS take it. Raises ApiError or UnreachableError; `settle` then knows what came of it."""
    await session.rotate_key(home.make_next_key())
    home.take_next_key()


async def rotation_loop(
    home: Home, session: Session, url: str, http: httpx.AsyncClient, days: float, *, wall: Callable[[], float] = time.time
) -> None:
    """Rotate the key whenever it is `days` old; ends only by being cancelled."""
    while True:
        if home.key_age(wall()) >= days * 86400:
            try:
                await rotate(home, session)
                log.info("key loop: the agent has a new key")
            except (ApiError, UnreachableError) as error:
                log.warning("key loop: the key could not be changed; the next try is in an hour: %s", error)
                await _recover(home, session, url, http)
        await asyncio.sleep(_LOOK_SECONDS)


async def _recover(home: Home, session: Session, url: str, http: httpx.AsyncClient) -> None:
    """The answer was lost, or a refusal: find out which key the IMS has."""
    try:
        session.use(await settle(home, session.identity, url, http))
    except ApiError as error:
        log.warning("key loop: which key the IMS has isn't known yet: %s", error)
