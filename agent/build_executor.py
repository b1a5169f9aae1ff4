"""What the build agent can do."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx

from agent.build.build import run_build
from agent.cancellation import unless_cancelled
from agent.engine.find import Engine, EngineNotFoundError, find_engine
from agent.failure import CodedError
from agent.job import JobContext
from agent.oci.vendor_key import VendorKey
from api.contract.agents import BuildJob, JobPayload, JobResult


class WrongJobError(CodedError):
    """A job that isn't for a build agent."""

    code = "wrong_agent"


class NoEngineError(CodedError):
    """The machine has no engine, which a build needs to fetch providers."""

    code = "engine_not_found"
    remedy = EngineNotFoundError.remedy


class BuildExecutor:
    """Builds components. See `agent.job.Executor`. `engine` is the configured program, or None to look for one."""

    def __init__(self, work: Path, key: VendorKey, http: httpx.AsyncClient, engine: str | None, env: Mapping[str, str]) -> None:
        self._work = work
        self._key = key
        self._http = http
        self._configured = engine
        self._engine: Engine | None = None
        self._env = env

    async def run(self, payload: JobPayload, context: JobContext) -> JobResult:
        """Build, push and sign."""
        if not isinstance(payload, BuildJob):
            raise WrongJobError("a build agent only builds")
        if self._engine is None:
            try:
                self._engine = await asyncio.to_thread(find_engine, self._configured, self._env)
            except EngineNotFoundError as error:
                raise NoEngineError(str(error)) from None
        build = run_build(
            payload, work=self._work, engine=self._engine, key=self._key, http=self._http, log=context.log, env=self._env
        )
        return await unless_cancelled(build, context.cancellation)
