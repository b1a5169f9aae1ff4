"""What went into a bundle besides its source: the engine, the providers, and the modules from elsewhere, as they were."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from agent.build.materials import without_login
from agent.build.program import run_program
from agent.bundle.pack import Bundle
from agent.bundle.providers import ProviderPackage
from agent.bundle.vendored import VendoredModule
from agent.engine.find import Engine
from agent.oci.digest import hex_of
from agent.oci.provenance import Material
from api.contract.source_digest import source_digest

_GIT_SECONDS = 60.0


def bundle_materials(
    packed: list[tuple[Bundle, tuple[ProviderPackage, ...]]], engine: Engine, modules: tuple[Material, ...]
) -> tuple[Material, ...]:
    """All of them; `modules` come from `module_materials`, as their repositories don't travel."""
    providers = []
    for bundle, packages in packed:
        digests = {layer.entry.title: hex_of(layer.entry.digest) for layer in bundle.layers}
        for each in packages:
            purl = f"pkg:terraform/{each.address}@{each.version}"
            providers.append(Material(each.address, each.version, purl=purl, sha256=digests[each.title]))
    return (Material(engine.name, engine.version, "application"), *providers, *modules)


async def module_materials(modules: tuple[VendoredModule, ...], env: Mapping[str, str]) -> tuple[Material, ...]:
    """Each module from elsewhere with the content that its address stood for: a commit where it is a git repository's."""
    return tuple([await _module_material(module, env) for module in modules])


async def _module_material(module: VendoredModule, env: Mapping[str, str]) -> Material:
    digest = await asyncio.to_thread(source_digest, str(module.folder))
    name = without_login(module.source)
    return Material(
        name,
        module.version,
        purl=f"pkg:terraform/{name}@{module.version}" if module.version else "",
        sha256=hex_of(digest),
        uri="" if module.version else name,
        commit=await _commit(module.folder, env),
    )


async def _commit(folder: Path, env: Mapping[str, str]) -> str:
    if not (folder / ".git").is_dir():
        return ""
    argv = ["git", "-c", "core.fsmonitor=false", "rev-parse", "--verify", "HEAD"]
    completed = await run_program(argv, folder=folder, env={**env, "GIT_DIR": str(folder / ".git")}, timeout=_GIT_SECONDS)
    return completed.output.strip() if completed.exit_code == 0 else ""
