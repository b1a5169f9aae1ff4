"""A data folder whose IMS is stopped, and rotation there."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from api.app import utc_now
from api.contract.secrets import Rotation
from api.db.database import Database
from api.db.doorbell import Doorbell
from api.db.schema import open_database
from api.events.chain import Chain
from api.secrets import keyring, rotation
from api.secrets.keys import KeyProvider, open_provider
from api.secrets.vault import Vault
from api.server import lock
from api.settings import Settings, UnusableDataError

_ACTOR = "system"


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Database, KeyProvider, Vault]]:
    """Hold the folder (`sole-writer`), and open what is in it. Raises DataInUseError or UnusableDataError."""
    if settings.database == "sqlite" and not settings.database_file.exists():
        raise UnusableDataError(f"{settings.data} has no database of an IMS; give its data folder with --data")
    held = lock(settings.data)
    try:
        provider = open_provider(settings.secrets_provider, make=False)
        driver = open_database(settings)
        try:
            vault = keyring.open_vault(driver, provider, utc_now)
        except BaseException:
            driver.close()
            raise
        db = Database(driver, clock=utc_now, doorbell=Doorbell(), history=Chain())
        try:
            yield db, provider, vault
        finally:
            await db.close()
    finally:
        os.close(held)


async def rotate(settings: Settings, say: Callable[[Rotation], None]) -> Rotation:
    """Seal every value anew with a new data key, or go on with a rotation that was stopped."""
    async with opened(settings) as (db, provider, vault):
        fresh = await asyncio.to_thread(keyring.fresh_key, provider, utc_now())
        state = await db.write(_ACTOR, rotation.begin, fresh)
        while not state.done:
            say(state)
            state = await db.write(_ACTOR, rotation.step, vault)
        return state


async def rewrap(settings: Settings, target: str) -> int:
    """Wrap every data key under the key `target`; a key file that isn't there is made. Gives the number of keys.

    The new key is tried before anything is committed, and the old one is left as it is: backups still need it.
    """
    async with opened(settings) as (db, provider, _):
        new = await asyncio.to_thread(open_provider, target, make=True)
        probe = await asyncio.to_thread(new.wrap, b"probe", "probe")
        if await asyncio.to_thread(new.unwrap, probe, "probe") != b"probe":
            raise UnusableDataError(f"{new.id} doesn't give back what it wrapped")
        return await db.write(_ACTOR, keyring.rewrap, provider, new)
