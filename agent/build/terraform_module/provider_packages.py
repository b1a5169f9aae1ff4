"""Have the engine fetch the providers that a module needs, from this machine's mirror or from the network."""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.build.program import run_program
from agent.bundle.hcl import LOCK_FILE
from agent.bundle.platform import Platform
from agent.bundle.providers import ProviderPackage, installed_packages, needed_providers
from agent.engine.events import boxed_errors
from agent.engine.failures import failure_of
from agent.engine.find import Engine
from agent.engine.run import Ended
from agent.failure import JobFailedError

_INIT_SECONDS = 1800.0


async def fetch_providers(
    source: Path, data: Path, engine: Engine, platform: Platform, env: Mapping[str, str], log: Callable[[str], None]
) -> tuple[ProviderPackage, ...]:
    """The packages of all providers that the module in `source` needs; none, and no engine run, if that is none.

    `init` runs as `env` has it set up, mirrors and all; it puts the packages into `data`, and completes the lock file in
    `source`, which is then part of the bundle. Raises JobFailedError with `init_failed`, ModuleLeaksError and others.
    """
    needed = await asyncio.to_thread(needed_providers, source)
    if not needed:
        return ()
    log(f"the module needs {', '.join(sorted(needed))}; fetching with {engine}")
    if not (source / LOCK_FILE).is_file():
        log(f"it has no {LOCK_FILE}: the newest versions that fit are taken; commit one to pin them")
    data.mkdir(parents=True)
    ended = await _init(source, data, engine, env, log)
    if not ended.succeeded:
        raise JobFailedError(failure_of("init", ended))
    packages = tuple(await asyncio.to_thread(installed_packages, data, platform))
    log("fetched " + ", ".join(f"{package.address} {package.version}" for package in packages))
    return packages


async def _init(source: Path, data: Path, engine: Engine, env: Mapping[str, str], log: Callable[[str], None]) -> Ended:
    settings = {"TF_DATA_DIR": str(data), "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
    argv = [*engine.argv(die_with=os.getpid()), "init", "-backend=false", "-input=false", "-no-color"]
    try:
        completed = await run_program(argv, folder=source, env={**env, **settings}, timeout=_INIT_SECONDS)
    except TimeoutError:
        return Ended(-1, (), None, stopped=f"it took longer than {_INIT_SECONDS:g} s")
    for line in completed.output.splitlines():
        log(line)
    return Ended(completed.exit_code, tuple(boxed_errors(completed.output.splitlines())), None)
