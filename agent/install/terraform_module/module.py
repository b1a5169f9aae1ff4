"""A component's bundle, made ready to run: verified, fetched from the customer's registry alone, unpacked, initialised."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agent.bundle.manifest import BundleConfig
from agent.bundle.unpack import UnpackedBundle, fetch_bundle
from agent.cancellation import unless_cancelled
from agent.engine.environment import cli_config, engine_environment
from agent.engine.failures import failure_of
from agent.engine.find import Engine, EngineNotFoundError
from agent.engine.run import Command, run
from agent.failure import CodedError, JobFailedError
from agent.install.site import Site
from agent.install.workspace import Workspace
from agent.job import JobContext
from agent.oci.signature import verify
from api.contract.agents import DeployJob
from api.contract.base import Digest, Json, Model

ERRORED = "errored.tfstate"
"""Where an engine puts a state that it can't write to its place: in the folder where it runs."""

_INIT_SECONDS = 900
_OVERRIDE = "exclave_override.tf.json"
_CLI_CONFIG = ".exclave.tfrc"
_READY = ".exclave-ready.json"


class NoEngineError(CodedError):
    """Neither the bundle nor this machine has an engine that can be used."""

    code = "engine_not_found"
    remedy = EngineNotFoundError.remedy


class _Ready(Model):
    """What is in `work/`, written once it is initialised."""

    digest: Digest
    bundled_engine: str | None
    config: BundleConfig


@dataclass(frozen=True)
class Module:
    """A module that is initialised. `command` builds the engine's commands in it."""

    engine: Engine
    folder: Path
    environment: dict[str, str]
    config: BundleConfig

    def command(self, lock: int, *arguments: str) -> Command:
        """A command of the engine in this module."""
        return Command(self.engine, arguments, self.folder, self.environment, lock)

    def within(self, environment: Mapping[str, str]) -> "Module":
        """The same with more in its environment. What the agent gives the engine by itself, wins."""
        return replace(self, environment={**environment, **self.environment})


async def prepare(job: DeployJob, context: JobContext, site: Site, workspace: Workspace, lock: int) -> Module:
    """Make the bundle of the job ready from nothing. Raises JobFailedError: the signature, the bundle, or `init_failed`."""
    bundle = await unless_cancelled(_fetch(job, site, workspace), context.cancellation)
    backend: Json = {"local": {"path": str(workspace.state)}}
    if site.backend is not None:
        backend = site.backend.block(job.component)
    await asyncio.to_thread(_lay_out, workspace, bundle, backend)
    ready = _Ready(digest=job.digest, bundled_engine=str(bundle.engine) if bundle.engine else None, config=bundle.config)
    module = await _module(ready, site, workspace)
    context.log(f"{job.component}: unpacked {job.digest}; running it with {module.engine}")
    await _init(module, context, workspace, lock)
    (workspace.work / _READY).write_text(ready.model_dump_json())
    return module


async def _fetch(job: DeployJob, site: Site, workspace: Workspace) -> UnpackedBundle:
    registry = await site.registry.client()
    repository = site.registry.repository(job.repository)
    await verify(registry, repository, job.digest, site.vendor_keys)
    return await fetch_bundle(registry, repository, job.digest, workspace.bundles)


async def prepared(job: DeployJob, context: JobContext, site: Site, workspace: Workspace, lock: int) -> Module:
    """The bundle of the job as the last plan left it, or, if another one was unpacked since, made ready again."""
    try:
        ready = _Ready.model_validate_json((workspace.work / _READY).read_bytes())
    except FileNotFoundError:
        ready = None
    if ready is None or ready.digest != job.digest:
        return await prepare(job, context, site, workspace, lock)
    return await _module(ready, site, workspace)


async def _module(ready: _Ready, site: Site, workspace: Workspace) -> Module:
    made_with = ready.config.engine
    if ready.bundled_engine:
        engine = Engine(made_with.kind, Path(ready.bundled_engine), made_with.name, made_with.version)
    else:
        try:
            engine = await asyncio.to_thread(site.own_engine, made_with.name)
        except EngineNotFoundError as error:
            raise NoEngineError(str(error)) from None
    environment = engine_environment(site.env, workspace.work / _CLI_CONFIG)
    return Module(engine, workspace.work, environment, ready.config)


def _lay_out(workspace: Workspace, bundle: UnpackedBundle, backend: Json) -> None:
    """Put the bundle's source into `work/`, with the customer's backend, whatever backend the module names (`closure`)."""
    for other in workspace.bundles.iterdir():
        if other != bundle.source.parent:
            shutil.rmtree(other, ignore_errors=True)  # a job that was stopped may still write there; the next plan sees to it
    shutil.rmtree(workspace.work, ignore_errors=True)
    shutil.copytree(bundle.source, workspace.work, symlinks=True)
    workspace.state.parent.mkdir(parents=True, exist_ok=True)
    (workspace.work / _OVERRIDE).write_text(json.dumps({"terraform": {"backend": backend}}))
    (workspace.work / _CLI_CONFIG).write_text(cli_config(bundle.mirror))
    # Only an apply may leave this file (see working_copy); one that comes in a bundle is not state of this install.
    (workspace.work / ERRORED).unlink(missing_ok=True)
    (workspace.work / _READY).unlink(missing_ok=True)


async def _init(module: Module, context: JobContext, workspace: Workspace, lock: int) -> None:
    arguments = ["init", "-input=false", "-no-color"]
    if module.engine.release >= (1, 9):
        arguments.append("-json")
    if (module.folder / ".terraform.lock.hcl").is_file():
        arguments.append("-lockfile=readonly")
    output = workspace.root / "init.jsonl"
    output.unlink(missing_ok=True)
    ended = await run(
        module.command(lock, *arguments),
        output,
        lambda event: context.log(event.text),
        context.cancellation,
        timeout=_INIT_SECONDS,
    )
    context.cancellation.check()
    if not ended.succeeded:
        raise JobFailedError(failure_of("init", ended))
