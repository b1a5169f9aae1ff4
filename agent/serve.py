"""Run one agent from its start to its stop: the folder, the identity, then the worker."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from agent.backoff import FIRST_CONTACT, Backoff
from agent.health import HealthReports
from agent.identity import VERSION, Home, Identity
from agent.job import Executor
from agent.journal import Journal
from agent.key_rotation import rotate, rotation_loop, settle
from agent.outbound import calls_client, outbound_client
from agent.own_log import OwnLogFormatter, kept_in
from agent.report import Office
from agent.session import Session
from agent.update.supervised import Supervised
from agent.worker import Limits, RevokedError, Worker
from api.client import ImsClient, UnreachableError
from api.contract.base import AgentKind

log = logging.getLogger(__name__)

_ENROLL_SECONDS = 30.0


class StartError(Exception):
    """The agent can't start. The text says which option is wrong, and what to do."""


@dataclass(frozen=True)
class Start:
    """What an agent is started with. `token` is read only if it has to enrol."""

    kind: AgentKind
    url: str
    home: Path
    name: str
    token: Callable[[], str | None]
    limits: Limits
    once: bool
    key_days: float
    say: Callable[[str], None]
    supervised: Supervised | None = None


@dataclass(frozen=True)
class Machine:
    """What an executor is made of. `registries` is for transfers, which take longer than calls to the IMS."""

    home: Home
    identity: Identity
    registries: httpx.AsyncClient


async def serve(
    start: Start, own_log: OwnLogFormatter, vendor_key: Callable[[Home], str | None], executor: Callable[[Machine], Executor]
) -> None:
    """Run the agent until SIGTERM or SIGINT.

    `vendor_key` gives the public key that a build agent enrols with. Raises StartError, HomeInUseError, IdentityError, ApiError
    or UnreachableError.
    """
    os.umask(0o077)
    try:
        home = Home(start.home)
    except OSError as error:
        raise StartError(f"--home {start.home} can't be used: {error.strerror}. Give a folder of the agent's own.") from None
    with home.occupied(), kept_in(home.folder, own_log):
        async with calls_client() as calls, outbound_client() as registries:
            identity = home.identity() or await _enroll(start, home, vendor_key(home), calls)
            if identity.enrolled.kind != start.kind:
                raise StartError(
                    f"--home {start.home} belongs to an agent of the kind {identity.enrolled.kind}; "
                    f"start it with `exclave agent {identity.enrolled.kind}`, or give another folder"
                )
            identity = await settle(home, identity, start.url, calls)
            health = HealthReports(home.folder, lambda: worker.jobs)
            session = Session(start.url, identity, calls, health=health.due)
            office = Office(session, Journal(home.folder / "journal"), spools=home.folder / "logs")
            worker = Worker(office, executor(Machine(home, identity, registries)), start.limits, own_log.watch, once=start.once)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, worker.stop)
            start.say(f"Agent {identity.enrolled.agent_id} waits for jobs from {start.url}; stop it with Ctrl-C.")
            log.info("agent %s of Exclave %s works for %s", identity.enrolled.agent_id, VERSION, start.url)
            keys = asyncio.create_task(rotation_loop(home, session, start.url, calls, start.key_days), name="key loop")
            attending = asyncio.create_task(_attend(start.supervised, worker, session), name="supervisor loop")
            try:
                await worker.run()
            except RevokedError:
                raise StartError(
                    f"the IMS at {start.url} has revoked this agent ({identity.enrolled.agent_id}); its jobs were stopped. "
                    "If that is a mistake, ask the vendor for a new enrolment token and start with an empty --home"
                ) from None
            finally:
                keys.cancel()
                attending.cancel()
            start.say("The agent has stopped.")


async def _attend(supervised: Supervised | None, worker: Worker, session: Session) -> None:
    if supervised:
        await supervised.attend(worker, session)


async def rotate_key(url: str, folder: Path) -> str:
    """Give a stopped agent a new key; returns its id.

    Raises StartError, HomeInUseError, IdentityError, ApiError or UnreachableError.
    """
    if not (folder / "identity.json").exists():
        raise StartError(f"--home {folder} has no agent; give the folder that it was enrolled with")
    home = Home(folder)
    with home.occupied():
        async with calls_client() as calls:
            identity = home.identity()
            assert identity
            identity = await settle(home, identity, url, calls)
            await rotate(home, Session(url, identity, calls))
            return identity.enrolled.agent_id


async def _enroll(start: Start, home: Home, vendor_key: str | None, calls: httpx.AsyncClient) -> Identity:
    token = start.token()
    if not token:
        raise StartError(
            f"the agent in --home {start.home} isn't enrolled yet, and there is no --token-file; "
            "ask the vendor for a one-time token (`exclave agents enroll`)"
        )
    ims = ImsClient(start.url, None, calls)
    backoff = Backoff(eager=FIRST_CONTACT)
    give_up = asyncio.get_running_loop().time() + _ENROLL_SECONDS
    while True:
        try:
            identity = await home.enroll(ims, token, start.name, vendor_key)
        except UnreachableError as error:
            if asyncio.get_running_loop().time() >= give_up:
                raise
            log.warning("enrolment waits: %s", error)
            await asyncio.sleep(backoff.next())
        else:
            install = f" for install {identity.enrolled.install_name}" if identity.enrolled.install_name else ""
            start.say(f"Enrolled as {identity.enrolled.agent_id}{install}. The token is used up and can be deleted.")
            return identity
