"""Run one build job, as the build agent does, into the vendor's registry of the tests."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from registry_server import RegistryServer

from agent.build.build import run_build
from agent.engine.find import Engine, EngineNotFoundError
from agent.oci.vendor_key import VendorKey
from api.contract.agents import BuildJob, BuildResult, RegistryAccess
from api.contract.components import ComponentConfig, ContainerImageConfig


class Build(Protocol):
    async def __call__(
        self,
        config: ComponentConfig,
        env: dict[str, str] | None = None,
        secrets: dict[str, str] | None = None,
        images: Sequence[ContainerImageConfig] = (),
    ) -> BuildResult: ...


class MakeBuild(Protocol):
    def __call__(self, repository: str, engine: Engine | None = None) -> Build: ...


@dataclass(frozen=True)
class BuildAgent:
    """A build agent with a work folder, a key and a vendor's registry. `log` has the lines of all its builds."""

    folder: Path
    vendor: RegistryServer
    key: VendorKey
    log: list[str] = field(default_factory=list)

    def builds(self, repository: str, engine: Engine | None = None) -> Build:
        access = RegistryAccess(url=self.vendor.url, repository=repository, username="writer", password="secret")
        app, component = repository.split("/")

        async def found() -> Engine:
            if engine is None:
                raise EngineNotFoundError("this build needs no engine")
            return engine

        async def build(
            config: ComponentConfig,
            env: dict[str, str] | None = None,
            secrets: dict[str, str] | None = None,
            images: Sequence[ContainerImageConfig] = (),
        ) -> BuildResult:
            beside = list(images)
            return await run_build(
                BuildJob(build_id="bld_1", app=app, component=component, config=config, registry=access, images=beside),
                work=self.folder / "work",
                engine=found,
                key=self.key,
                http=self.vendor.http,
                log=self.log.append,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder)} | (env or {}),
                secrets=secrets,
            )

        return build
