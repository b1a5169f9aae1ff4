"""What a running registry does for itself: gives up idle uploads; collects what nothing needs, by the clock or when asked."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from api.registry.collect import Collected, Needs, collect
from api.registry.settings import RegistrySettings
from api.registry.storage import RegistryStorage
from api.registry.uploads import Uploads

_log = logging.getLogger(__name__)

_PASS_SECONDS = 60.0


class ReadOnlyRegistryError(Exception):
    """Nothing may be removed now."""


async def only_blobs() -> Needs:
    """The needs of a registry that doesn't know who needs its manifests: all of them stay."""
    return Needs()


class RegistryCare:
    """Looks after one storage. `needs` is asked at the beginning of each collection."""

    def __init__(
        self,
        storage: RegistryStorage,
        settings: RegistrySettings,
        *,
        needs: Callable[[], Awaitable[Needs]] = only_blobs,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.uploads = Uploads(storage.scratch, idle=settings.upload_idle)
        self._storage = storage
        self._settings = settings
        self._needs = needs
        self._clock = clock
        self._one = asyncio.Lock()

    async def collect(self, *, dry_run: bool = False) -> Collected:
        """One collection; a second one waits for the first. Raises ReadOnlyRegistryError."""
        if self._settings.read_only and not dry_run:
            raise ReadOnlyRegistryError("the registry is read-only: nothing is removed until that setting is taken back")
        grace = self._settings.collect_grace_hours * 3600
        async with self._one:
            needs = await self._needs()
            return await asyncio.to_thread(collect, self._storage, needs, now=self._clock(), grace=grace, dry_run=dry_run)

    async def run(self, collected: Callable[[Collected], Awaitable[None]]) -> None:
        """Until cancelled. `collected` is told of each collection."""
        every = self._settings.collect_hours * 3600
        due = self._clock() + every
        while True:
            await asyncio.sleep(_PASS_SECONDS)
            try:
                self.uploads.expire()
                if every and not self._settings.read_only and self._clock() >= due:
                    due = self._clock() + every
                    await collected(await self.collect())
            except Exception:  # one bad pass must not be the last: the next one tries again
                _log.exception("the care of the registry failed")
