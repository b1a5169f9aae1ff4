"""One build job, of any kind."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from agent.build.terraform_module import build_terraform_module
from agent.bundle.zip_store import ZipStore
from agent.engine.find import Engine
from agent.failure import CodedError
from agent.oci.vendor_key import VendorKey
from api.contract.agents import BuildJob, BuildResult
from api.contract.components import TerraformModuleConfig


class NotBuiltYetError(CodedError):
    """Components of the kind can be stored, but not built by this version."""

    code = "not_built_yet"
    remedy = "Remove the component from the app, or wait for a version that builds it."


async def run_build(
    job: BuildJob,
    *,
    work: Path,
    engine: Engine,
    key: VendorKey,
    http: httpx.AsyncClient,
    log: Callable[[str], None],
    env: Mapping[str, str] = os.environ,
) -> BuildResult:
    """Build the job's component. Raises JobFailedError.

    `work` belongs to this agent's builds: `cache/` stays in it, and the job's own folder goes at the end of the job, or, after
    a `kill -9`, at the beginning of its next attempt. Cancelling this coroutine stops all programs that it runs.
    """
    if not isinstance(job.config, TerraformModuleConfig):
        raise NotBuiltYetError(
            f"components of kind {job.config.kind} are not built yet; this version builds terraform_module",
            field="config.kind",
        )
    own = work / f"build-{hashlib.sha256(job.build_id.encode()).hexdigest()[:16]}"
    await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)
    own.mkdir(parents=True)
    try:
        return await build_terraform_module(
            job, job.config, work=own, store=ZipStore(work / "cache"), engine=engine, key=key, http=http, env=env, log=log
        )
    finally:
        await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)
