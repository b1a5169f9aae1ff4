"""The agent's side of its supervisor: one socket, a word a line.

The supervisor says `drain`, once, when another version is to be tried: the agent takes nothing new, ends what it does, and
ends itself; and `held` when the one that runs has proved itself. The agent says `reported` when the IMS has answered one of
its calls. The end of the socket is the supervisor's end, and then the agent's, which leaves nobody behind. A supervisor may be
older or newer than its agent: words that one doesn't know are passed over.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from agent.session import Session
from agent.worker import Worker
from api.client import ApiError, UnreachableError

log = logging.getLogger(__name__)

VARIABLE = "EXCLAVE_SUPERVISOR"


@dataclass
class Supervised:
    """What the supervisor has given to this process. `packages` are the folders of the installed package, `base` its Python.

    `leaving` is set once the agent has drained for an update: a job that stops then goes on in the next process. `when_held`,
    which may block, is called once the version that runs here was tried and has held.
    """

    channel: socket.socket
    base: str
    packages: tuple[Path, ...]
    leaving: bool = False
    when_held: Callable[[], None] = lambda: None

    @classmethod
    def of_environment(cls, env: MutableMapping[str, str]) -> "Supervised | None":
        """The supervisor's gift, which nothing that this process starts gets to see; None without a supervisor."""
        given = env.pop(VARIABLE, None)
        if given is None:
            return None
        said = json.loads(given)
        channel = socket.socket(fileno=said["channel"])
        channel.setblocking(False)
        os.set_inheritable(channel.fileno(), False)
        return cls(channel, said["base"], tuple(Path(each) for each in said["packages"]))

    async def attend(self, worker: Worker, session: Session) -> None:
        """Report once, and hear what the supervisor says; ends only by being cancelled."""
        telling = asyncio.create_task(self._tell(session), name="supervisor report")
        try:
            await self._listen(worker)
        finally:
            telling.cancel()

    async def _tell(self, session: Session) -> None:
        with contextlib.suppress(ApiError, UnreachableError):
            await session.pending_approvals()  # is answered at once, where a lease is held back for most of a minute
        await session.heard.wait()
        await asyncio.get_running_loop().sock_sendall(self.channel, b"reported\n")

    async def _listen(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        heard = b""
        while True:
            try:
                data = await loop.sock_recv(self.channel, 1024)
            except ConnectionError:
                data = b""
            if not data:
                log.warning("the supervisor has ended; so does the agent")
                os.kill(os.getpid(), signal.SIGTERM)
                return
            *lines, heard = (heard + data).split(b"\n")
            if b"held" in lines:
                await asyncio.to_thread(self.when_held)
            if b"drain" in lines:
                log.info("another version is to be tried: no new jobs; what runs goes on to its end")
                worker.drain(self._leave)

    def _leave(self) -> None:
        self.leaving = True
