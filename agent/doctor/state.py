"""The place where states are kept: written, read, guarded against a second writer, listed, removed, as each deploy does."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from uuid import uuid4

from agent.doctor.check import Finding, failed, passed, skipped
from agent.engine.environment import cli_config, engine_environment
from agent.engine.find import EngineNotFoundError, find_engine
from agent.engine.run import Command, Ended, capture
from agent.failure import CodedError
from agent.identity import Home, IdentityError
from agent.state.backend import EngineBackend, read_backend
from agent.state.place import HOME, Place, StatePlaceError, open_store, remembered
from agent.state.store import MovedOnError, Store

COMPONENT = "exclave-doctor"
"""Under this name nothing is deployed: a component's name has no state of the doctor's in its way."""
_NAMES = ("state.write", "state.read", "state.lock", "state.delete")
_ENGINE_SECONDS = 300


async def state(home: Path | None, given: str | None, engine: str | None, env: Mapping[str, str]) -> AsyncIterator[Finding]:
    """What --state names, or else what the home remembers. Nothing of it lasts."""
    found: list[Finding] = []
    try:
        place = Place(state=given) if given else (await asyncio.to_thread(remembered, home) if home else None)
        if place is None or (place.state == HOME and not (home and home.exists())):
            looks = _nothing("no --state was given, and the agent has none yet: it will be in its home")
        elif place.backend is not None:
            looks = _by_engine(read_backend(place.backend, _install(home)), engine, env)
        else:
            looks = _round_trip(open_store(place.state, home or Path()))
        async for finding in looks:
            found.append(finding)
            yield finding
    except (CodedError, ValueError) as error:
        remedy = error.failure.remedy if isinstance(error, CodedError) else ""
        finding = failed(_NAMES[len(found)], str(error), remedy or StatePlaceError.remedy)
        found.append(finding)
        yield finding
    for name in _NAMES[len(found) :]:
        yield skipped(name, f"not known before {_NAMES[len(found) - 1]} works")


async def _nothing(why: str) -> AsyncIterator[Finding]:
    for name in _NAMES:
        yield skipped(name, why)


async def _round_trip(store: Store) -> AsyncIterator[Finding]:
    write, read, lock, delete = _NAMES
    name, content = f"{COMPONENT}/{uuid4().hex}", os.urandom(1024)
    tag = await asyncio.to_thread(store.write, name, content, None)
    try:
        yield passed(write, f"{store.place} takes an object")
        back = await asyncio.to_thread(store.read, name)
        if back is None or back.data != content:
            yield failed(read, f"{store.place} doesn't give back what it took", "Use a store that is consistent at once.")
            return
        yield passed(read, "and gives it back whole")
        if await _lets_two_write(store, name, tag):
            remedy = "Use S3 itself, or a service that knows conditional writes (If-Match, If-None-Match)."
            yield failed(lock, f"of two writers, {store.place} lets both write: no lock would hold there", remedy)
            return
        yield passed(lock, "of two writers, one is refused: locks hold")
    finally:
        await asyncio.to_thread(store.delete, name)
    if name in await asyncio.to_thread(store.names, f"{COMPONENT}/"):
        yield failed(delete, f"{store.place} lists an object that was removed", "Let the agent delete objects there.")
    else:
        yield passed(delete, "it is gone again, and the list says so")


async def _lets_two_write(store: Store, name: str, tag: str) -> bool:
    """Whether somebody can write who doesn't know what is there: as if there were nothing, or what was there before."""
    newer = await asyncio.to_thread(store.write, name, os.urandom(1024), tag)
    for stale in (None, tag):
        try:
            await asyncio.to_thread(store.write, name, b"", stale)
        except MovedOnError:
            continue
        return True
    return newer == tag


async def _by_engine(backend: EngineBackend, engine: str | None, env: Mapping[str, str]) -> AsyncIterator[Finding]:
    """A backend of Terraform's own: the engine reads and locks a state there that doesn't exist. Nothing is written."""
    write, read, lock, delete = _NAMES
    yield skipped(write, f"states are in a backend of your own ({backend.name}), where only an apply writes")
    try:
        program = await asyncio.to_thread(find_engine, engine, env)
    except EngineNotFoundError as error:
        yield skipped(read, f"{error}; without an engine nobody can look", error.remedy)
        return
    with tempfile.TemporaryDirectory(prefix="exclave-doctor-") as temporary:
        folder = Path(temporary)
        (folder / "main.tf.json").write_text(json.dumps({"terraform": {"backend": backend.block(COMPONENT)}}))
        (folder / "cli.tfrc").write_text(cli_config(folder / "mirror"))
        environment = engine_environment(env, folder / "cli.tfrc")
        with (folder / "lock").open("w") as descriptor:
            for name, arguments, said in (
                (read, ("init", "-input=false", "-no-color"), f"the backend {backend.name} takes the agent's credentials"),
                (lock, ("plan", "-input=false", "-no-color", "-lock-timeout=5s"), "a state there can be read and locked"),
            ):
                command = Command(program, arguments, folder, environment, descriptor.fileno())
                ended, _ = await capture(command, timeout=_ENGINE_SECONDS)
                if not ended.succeeded:
                    yield failed(name, _why(ended), "Correct the backend's file, or what the agent may do there.")
                    return
                yield passed(name, said)
    yield skipped(delete, "what an empty state leaves in a backend of your own is yours")


def _why(ended: Ended) -> str:
    return "; ".join(f"{error.summary}. {error.detail}".strip() for error in ended.errors) or f"exit code {ended.exit_code}"


def _install(home: Path | None) -> str:
    """The install's id, where the agent has enrolled already."""
    try:
        identity = Home(home, make=False).identity() if home else None
    except (OSError, ValueError, IdentityError):
        return COMPONENT
    return (identity.enrolled.install_id if identity else None) or COMPONENT
