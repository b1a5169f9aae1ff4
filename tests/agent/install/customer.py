"""A customer's account for tests: both registries are real, and so is the engine."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from registry_server import RegistryServer

from agent.build.build import run_build
from agent.cancellation import Cancellation
from agent.engine.find import Engine, find_engine
from agent.failure import CodedError
from agent.install.executor import InstallExecutor
from agent.install.site import Site
from agent.job import JobContext
from agent.oci.signature import sign, verify
from agent.oci.vendor_key import VendorKey
from agent.redaction import Redactor
from agent.trust.claims import claims_of
from agent.trust.notices import NO_NOTICES, Notices
from api.contract.agents import BuildJob, DeployJob, JobResult, RegistryAccess, SyncJob
from api.contract.base import Json
from api.contract.components import ComponentConfig, PathSource, Source, TerraformModuleConfig


@dataclass
class Customer:
    """An install in a customer's account, with the vendor that ships to it, and what an IMS would tell its agent."""

    vendor: RegistryServer
    registry: RegistryServer
    site: Site
    key: VendorKey
    folder: Path
    log: list[str] = field(default_factory=list)
    secrets: Redactor = field(default_factory=Redactor)
    digests: dict[str, str] = field(default_factory=dict)
    configs: dict[str, ComponentConfig] = field(default_factory=dict)
    notices: Notices = NO_NOTICES

    async def build(self, component: str, source: str, key: VendorKey | None = None) -> str:
        """Build a Terraform module of one file; gives the digest."""
        folder = self.folder / "source" / component
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "main.tf").write_text(source)
        return await self.build_of(component, TerraformModuleConfig(source=Source(path=PathSource(path=str(folder)))), key)

    async def build_of(self, component: str, config: ComponentConfig, key: VendorKey | None = None) -> str:
        """Build a component of any kind; gives the digest."""
        self.configs[component] = config
        job = BuildJob(
            build_id=f"bld_{component}",
            app="shop",
            component=component,
            config=config,
            registry=RegistryAccess(url=self.vendor.url, repository=f"shop/{component}", username="writer", password="secret"),
        )
        result = await run_build(
            job,
            work=self.folder / "builds",
            engine=_engine,
            key=key or self.key,
            http=self.registry.http,
            log=self.log.append,
            env=self.site.env,
            notices=self.notices,
        )
        self.digests[component] = result.artifact.digest
        return result.artifact.digest

    def context(self, job_id: str, cancellation: Cancellation | None = None) -> JobContext:
        return JobContext(job_id, self.log.append, self.secrets, cancellation or Cancellation())

    async def sync(self, component: str) -> JobResult:
        ticket = self.vendor.ticket(f"ticket-{component}", digests=None)
        access = RegistryAccess(
            url=self.vendor.url, repository=f"shop/{component}", username=ticket.username, password=ticket.password
        )
        job = SyncJob(deploy_id="dep_1", component=component, digest=self.digests[component], registry=access)
        return await InstallExecutor(self.site).run(job, self.context("job_sync"))

    def job(
        self,
        kind: str,
        component: str,
        variables: dict[str, str] | None = None,
        *,
        plan: str | None = None,
        inputs: dict[str, Json] | None = None,
        sensitive: dict[str, Json] | None = None,
        install: str = "ins_1",
    ) -> DeployJob:
        return DeployJob(
            kind=kind,  # type: ignore[arg-type]
            deploy_id="dep_1",
            component=component,
            digest=self.digests[component],
            repository=f"shop/{component}",
            config=self._config(component, variables or {}),
            install_id=install,
            install_name="acme",
            inputs=inputs or {},
            sensitive_inputs=sensitive or {},
            digests=self.digests,
            plan_job_id=plan,
        )

    def _config(self, component: str, variables: dict[str, str]) -> ComponentConfig:
        """The config that was built, or, of a Terraform module, one with other variables."""
        config = self.configs.get(component)
        if config is not None and not isinstance(config, TerraformModuleConfig):
            return config
        return TerraformModuleConfig(source=Source(path=PathSource(path="unused")), variables=variables)

    async def run(self, job: DeployJob, job_id: str = "job_1", cancellation: Cancellation | None = None) -> JobResult:
        """Run a job of an honest IMS: its config is one with which the vendor has built the component."""
        await self.build_with(job)
        return await InstallExecutor(self.site).run(job, self.context(job_id, cancellation))

    async def build_with(self, job: DeployJob) -> None:
        """Sign for the job's config, as a build with it would, if the customer has the artifact with the vendor's signature."""
        registry, repository = await self.site.registry.client(), self.site.registry.repository(job.repository)
        try:
            await verify(registry, repository, job.digest, (self.key.public_pem,))
        except CodedError:
            return
        await sign(registry, repository, job.digest, self.key, repository, claims_of("shop", job.component, job.config))

    async def deploy(self, component: str, variables: dict[str, str] | None = None, **inputs: dict[str, Json]) -> JobResult:
        """Sync, plan, and apply that plan."""
        await self.sync(component)
        await self.run(self.job("plan", component, variables, **inputs), "job_plan")  # type: ignore[arg-type]
        return await self.run(self.job("apply", component, variables, plan="job_plan", **inputs), "job_apply")  # type: ignore[arg-type]

    def home(self, component: str) -> Path:
        return self.site.components.of(component).root


async def _engine() -> Engine:
    return find_engine(None, os.environ)
