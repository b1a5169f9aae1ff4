"""Have the engine fetch what a module needs from outside: providers and modules, from this machine's mirror or the network."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.build.materials import without_login
from agent.build.program import run_program
from agent.build.terraform_module.module_size import check_size, fetched_within
from agent.bundle.hcl import LOCK_FILE
from agent.bundle.platform import Platform
from agent.bundle.providers import ProviderPackage, installed_packages, needs_of
from agent.bundle.vendored import MODULES, VendoredModule, vendored_modules
from agent.engine.events import boxed_errors
from agent.engine.failures import failure_of
from agent.engine.find import Engine
from agent.engine.run import Ended
from agent.failure import JobFailedError

_INIT_SECONDS = 1800.0
_DATA = ".terraform"
_MODULE_PROTOCOLS = "git:http:https:ssh"
"""By which git may fetch a module that is called: none of them reads this machine's own repositories or runs a program."""


@dataclass(frozen=True)
class Fetched:
    """What the module needs, for the platform of the build."""

    providers: tuple[ProviderPackage, ...] = ()
    modules: tuple[VendoredModule, ...] = ()


async def initialise(
    source: Path, engine: Engine, platform: Platform, env: Mapping[str, str], log: Callable[[str], None]
) -> Fetched:
    """Fetch the providers of the module in `source`, and the modules from elsewhere; no engine runs if it needs neither.

    `init` runs as `env` has it set up, mirrors and all. It completes the lock file in `source` and puts the modules there,
    which both are then part of the bundle. Raises JobFailedError with `init_failed`, ModuleLeaksError and others.
    """
    needs = await asyncio.to_thread(needs_of, source)
    if not needs:
        return Fetched()
    log(f"the module needs {without_login(', '.join(sorted(needs.providers | needs.modules)))}; fetching with {engine}")
    if needs.providers and not (source / LOCK_FILE).is_file():
        log(f"it has no {LOCK_FILE}: the newest versions that fit are taken; commit one to pin them")
    ended = await _init(source, engine, env, log)
    if not ended.succeeded:
        raise JobFailedError(failure_of("init", ended))
    modules = await asyncio.to_thread(vendored_modules, source)
    await asyncio.to_thread(check_size, source, modules, env)
    packages = tuple(await asyncio.to_thread(installed_packages, source / _DATA, platform))
    for package in packages:
        log(f"fetched {package.address} {package.version}")
    for module in modules:
        log(f"vendored {without_login(module.source)} {module.version}".rstrip())
    return Fetched(packages, modules)


async def _init(source: Path, engine: Engine, env: Mapping[str, str], log: Callable[[str], None]) -> Ended:
    settings = {
        "TF_DATA_DIR": _DATA,
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        "GIT_ALLOW_PROTOCOL": _MODULE_PROTOCOLS,
        "GIT_TERMINAL_PROMPT": "0",
    }
    argv = [*engine.argv(die_with=os.getpid()), "init", "-backend=false", "-input=false", "-no-color"]
    try:
        init = run_program(argv, folder=source, env={**env, **settings}, timeout=_INIT_SECONDS)
        completed = await fetched_within(source / MODULES, env, init)
    except TimeoutError:
        return Ended(-1, (), None, stopped=f"it took longer than {_INIT_SECONDS:g} s")
    lines = without_login(completed.output).splitlines()
    for line in lines:
        log(line)
    return Ended(completed.exit_code, tuple(boxed_errors(lines)), None)
