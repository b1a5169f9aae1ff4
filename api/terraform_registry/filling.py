"""Fills the folder of packages with what this IMS has itself: the provider for its own platform, and its modules.

It happens when somebody asks for a package first, takes seconds, and needs no network. What is there already stays: a version's
bytes don't change under those who have pinned it. The provider's package is made by `exclave provider package` in a process of
its own, for this package and `provider_bridge` meet by the command line alone.
"""

import asyncio
import logging
import os
import platform
import re
import sys
import zipfile
from importlib.metadata import version as installed_version
from pathlib import Path

from api.registry import durable
from api.terraform_registry.packages import Packages

_log = logging.getLogger(__name__)

MODULES = (Path(__file__).with_name("modules"), Path(__file__).parents[2] / "modules")
"""Where the modules are: in an installed Exclave, and in a checkout."""

_SYSTEM = re.compile(r'"(?:registry\.(?:terraform\.io|opentofu\.org)/)?hashicorp/(aws|google|azurerm)"')
_IN_A_MODULE = re.compile(r".*\.(tf|tofu|tftest\.hcl|tftpl|md)|LICENSE")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class Filler:
    """Fills one folder, once in the life of a process."""

    def __init__(self, packages: Packages, modules: tuple[Path, ...] = MODULES) -> None:
        self._packages = packages
        self._modules = modules
        self._run: asyncio.Task[None] | None = None

    async def filled(self) -> None:
        """Wait until the folder has all that this IMS can put there. What fails is logged, and the rest is served."""
        if self._run is None:
            self._run = asyncio.create_task(self._fill(), name="terraform-packages")
        await asyncio.shield(self._run)  # one impatient client must not cut it off for the others

    async def _fill(self) -> None:
        try:
            await asyncio.to_thread(self._pack_modules, semantic(installed_version("exclave")))
            await self._package_provider(semantic(installed_version("exclave")))
        except OSError as error:
            _log.error("can't fill %s with packages for Terraform: %s", self._packages.folder, error)

    def _pack_modules(self, version: str) -> None:
        found = next((folder for folder in self._modules if folder.is_dir()), None)
        for module in sorted(found.glob("*-access")) if found else ():
            system = system_of(module)
            if system is None:
                _log.error("%s isn't served: no file of it requires a provider of a cloud", module)
                continue
            target = self._packages.folder / f"{module.name}_{system}_{version}.zip"
            if not target.exists():
                pack_module(module, target)

    async def _package_provider(self, version: str) -> None:
        here = f"{platform.system().lower()}_{_ARCHITECTURES.get(platform.machine(), platform.machine())}"
        if any(one.platform == here for one in self._packages.providers(version)):
            return
        durable.make_folder(self._packages.folder)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "api.cli", "provider", "package", "--output", str(self._packages.folder)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            _log.error("can't package the provider: %s", output.decode(errors="replace").strip())

    async def close(self) -> None:
        """Stop what is under way."""
        if self._run:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)


def semantic(version: str) -> str:
    """A Python version (PEP 440) as Terraform writes it: `0.2.0.dev3` is `0.2.0-dev3`. As `exclave provider install` does."""
    return re.sub(r"\.?(a|b|rc|dev)(\d+).*$", r"-\1\2", version.partition("+")[0])


def system_of(module: Path) -> str | None:
    """The target system of a module, as its address ends: the provider of a cloud that its files require first."""
    found = (_SYSTEM.search(path.read_text()) for path in sorted(module.glob("*.tf")))
    return next((match[1] for match in found if match), None)


def pack_module(module: Path, target: Path) -> None:
    """Write a module as a zip whose bytes depend on its files alone, whole or not at all. Raises OSError."""
    files = sorted(path for path in module.rglob("*") if path.is_file() and _IN_A_MODULE.fullmatch(path.name))
    durable.make_folder(target.parent)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    with zipfile.ZipFile(draft, "w") as archive:
        for path in files:
            name = path.relative_to(module)
            if not any(part.startswith(".") for part in name.parts):
                archive.writestr(zipfile.ZipInfo(name.as_posix(), _ZIP_TIME), path.read_bytes(), zipfile.ZIP_DEFLATED)
    draft.replace(target)
