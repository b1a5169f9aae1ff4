"""What the build agent can do."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.build.build import run_build, sweep
from agent.cancellation import unless_cancelled
from agent.engine.find import Engine, EngineNotFoundError, find_engine
from agent.failure import CodedError
from agent.job import JobContext
from agent.oci.vendor_key import VendorKey
from agent.secrets.reference import UnresolvedError
from agent.secrets.resolve import Resolver, SecretUnresolvedError
from agent.trust.notices import NO_NOTICES, Notices
from agent.trust.origins import check_origins
from api.contract.agents import BuildJob, JobPayload, JobResult
from api.contract.base import Json
from api.contract.sealed_box import SealedBoxError, job_context, open_box
from api.contract.secret_references import scheme_of


class WrongJobError(CodedError):
    """A job that isn't for a build agent."""

    code = "wrong_agent"


class NoEngineError(CodedError):
    """The machine has no engine, which a build needs to fetch providers."""

    code = "engine_not_found"
    remedy = EngineNotFoundError.remedy


class SecretUnreadableError(CodedError):
    """The job's secrets are for another agent, or for none."""

    code = "secret_unreadable"
    retryable = True
    remedy = "Start the agent again: it then tells the IMS its key anew. If that doesn't help, enrol it anew."


class BuildExecutor:
    """Builds components. See `agent.job.Executor`. `engine` is the configured program, or None to look for one.

    `sealing_key` opens the secrets that come with a job, and `resolver` those that are references. `allowed_sources` are globs,
    see `check_origins`.
    """

    def __init__(
        self,
        work: Path,
        key: VendorKey,
        http: httpx.AsyncClient,
        engine: str | None,
        env: Mapping[str, str],
        *,
        sealing_key: X25519PrivateKey | None = None,
        resolver: Resolver | None = None,
        allowed_sources: Sequence[str] = (),
        notices: Notices = NO_NOTICES,
    ) -> None:
        self._work = work
        self._key = key
        self._http = http
        self._configured = engine
        self._engine: Engine | None = None
        self._env = env
        self._sealing_key = sealing_key
        self._resolver = resolver
        self._swept = False
        self._sweeping = asyncio.Lock()
        self._allowed_sources = allowed_sources
        self._notices = notices

    async def run(self, payload: JobPayload, context: JobContext) -> JobResult:
        """Build, push and sign."""
        if not isinstance(payload, BuildJob):
            raise WrongJobError("a build agent only builds")
        check_origins(payload.config, self._allowed_sources)
        async with self._sweeping:
            if not self._swept:
                await sweep(self._work)
                self._swept = True
        secrets = await self._secrets(payload, context)
        build = run_build(
            payload,
            work=self._work,
            engine=self._find_engine,
            key=self._key,
            http=self._http,
            log=context.log,
            env=self._env,
            secrets=secrets,
            notices=self._notices,
        )
        return await unless_cancelled(build, context.cancellation)

    async def _find_engine(self) -> Engine:
        if self._engine is None:
            try:
                self._engine = await asyncio.to_thread(find_engine, self._configured, self._env)
            except EngineNotFoundError as error:
                raise NoEngineError(str(error)) from None
        return self._engine

    async def _secrets(self, job: BuildJob, context: JobContext) -> dict[str, str]:
        """The job's secrets, of which the redactor knows every one. Raises SecretUnreadableError, SecretUnresolvedError."""
        if job.sealed is None:
            return {}
        if self._sealing_key is None:
            raise SecretUnreadableError(f"the secrets of {job.component} are sealed, and this agent has no key for them")
        try:
            content = open_box(self._sealing_key, job.sealed, job_context(context.job_id, context.attempt, job.build_id))
        except SealedBoxError as error:
            raise SecretUnreadableError(f"the secrets of {job.component} can't be opened: {error}") from None
        return {name: await self._resolved(name, value, context) for name, value in content["secrets"].items()}

    async def _resolved(self, name: str, value: Json, context: JobContext) -> str:
        if scheme_of(value) is None:
            context.redactor.learn(value)
            return value if isinstance(value, str) else json.dumps(value)
        assert isinstance(value, str)
        if self._resolver is None:
            raise SecretUnresolvedError(f"secret {name!r} is a reference, and this agent resolves none")
        try:
            return await self._resolver.read(value, context.redactor.learn)
        except UnresolvedError as error:
            raise SecretUnresolvedError(f"secret {name!r}: {value} can't be resolved: {error}", remedy=error.remedy) from None
