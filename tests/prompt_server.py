"""uvicorn for servers in a test's own process, which may end many times a second."""

import asyncio
import contextlib
import itertools
import socket

import uvicorn


class PromptServer(uvicorn.Server):
    """uvicorn's own looks ten times a second whether it should end, and then gives what is connected 0.1 s, needed or not.

    This one is told to, with `end`, and gives it as long as it takes, up to as much.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def end(self, *, force: bool = False) -> None:
        """End; with `force`, without waiting for answers that aren't whole."""
        self.should_exit = True
        self.force_exit = force
        self._told.set()

    async def main_loop(self) -> None:
        """See uvicorn."""
        ticks = itertools.count()
        while not await self.on_tick(next(ticks)):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        for closed in (*self.servers, *(sockets or ())):
            closed.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for waited in itertools.count():
            busy = self.server_state.connections or self.server_state.tasks
            if not busy or (self.force_exit and waited == 100):
                return
            await asyncio.sleep(0.001)
