"""The providers of a module for a platform that isn't the build agent's own: found, and held to the lock file.

An engine installs for the platform that it runs on. For another one the packages come from the same places, as the CLI
configuration names them, in the versions that `init` has chosen: folders, network mirrors, or the registries themselves by
the engine's own `providers mirror`. What they are is judged by the lock file, wherever they are from.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from agent.build.materials import without_login
from agent.build.program import run_program
from agent.build.terraform_module.cli_configuration import Installation, installation
from agent.build.terraform_module.network_mirror import download_package
from agent.bundle.hcl import read_lock
from agent.bundle.lock import add_hash, files_hash, zip_hash
from agent.bundle.platform import Platform
from agent.bundle.providers import ProviderMissingError, ProviderPackage, package_files, package_title
from agent.bundle.zip import extract_zip
from agent.engine.find import Engine
from agent.failure import CodedError

_MIRROR_SECONDS = 1800.0


class ProviderNotLockedError(CodedError):
    """The lock file has no hash of this package: nobody can say that it is the one that the vendor has tried."""

    code = "provider_not_locked"


class EngineForPlatformError(CodedError):
    """The engine shall travel in the bundle, and isn't here for the bundle's platform."""

    code = "engine_not_found"


@dataclass(frozen=True)
class Search:
    """Where to look, and with what. `locked` has the hashes that came with the source; `work` is for what is found."""

    source: Path
    engine: Engine
    env: Mapping[str, str]
    http: httpx.AsyncClient
    locked: Mapping[str, list[str]]
    work: Path
    log: Callable[[str], None]


async def packages_for(platform: Platform, own: tuple[ProviderPackage, ...], search: Search) -> tuple[ProviderPackage, ...]:
    """The packages of the `own` platform's providers, in the same versions, for `platform`; their hashes go into the lock file.

    Raises ProviderMissingError, ProviderNotLockedError, UnsafeZipError.
    """
    places = await asyncio.to_thread(installation, search.engine.name, search.env)
    found = []
    for package in own:
        folder = search.work / str(platform) / package.address / package.version
        archive = await _find(package, platform, places, search, folder)
        files = await asyncio.to_thread(package_files, folder)
        await asyncio.to_thread(_hold_to_lock, package, platform, files_hash(files), archive, search)
        search.log(f"fetched {package.address} {package.version} for {platform}")
        title = package_title(package.address, package.version, platform)
        found.append(ProviderPackage(package.address, package.version, title, files))
    return tuple(found)


def engine_for(platform: Platform, engine: Engine, env: Mapping[str, str]) -> Engine:
    """The same engine for `platform`, from the folder that EXCLAVE_ENGINES names. Raises EngineForPlatformError."""
    folder = f"{engine.name}_{engine.version}_{platform}"
    path = Path(env.get("EXCLAVE_ENGINES") or os.devnull) / folder / engine.name
    if not path.is_file():
        raise EngineForPlatformError(
            f"{engine.name} {engine.version} isn't here for {platform}",
            remedy=f"Unpack its release as {folder}/{engine.name} in the folder that EXCLAVE_ENGINES of the build agent's "
            'environment names; or set bundle_engine = "never", and have the install agents bring their own.',
            field="config.platforms",
        )
    return Engine("binary", path.absolute(), engine.name, engine.version)


async def _find(package: ProviderPackage, platform: Platform, places: Installation, search: Search, folder: Path) -> str:
    """Put the package's files into `folder`; gives the hash of the zip that they were in, if they were."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    title = package_title(package.address, package.version, platform).removeprefix("providers/")
    for place in places.folders:
        if (place / title).is_file():
            return await asyncio.to_thread(_unpack, place / title, folder)
        unpacked = place / package.address / package.version / str(platform)
        if unpacked.is_dir():
            await asyncio.to_thread(shutil.copytree, unpacked, folder)
            return ""
    for mirror in places.mirrors:
        archive = await download_package(search.http, mirror, package.address, package.version, platform, folder.parent)
        if archive is not None:
            return await asyncio.to_thread(_unpack, archive, folder)
    if places.direct and await _mirrored(platform, search):
        archive = _mirror_folder(platform, search) / title
        if archive.is_file():
            return await asyncio.to_thread(_unpack, archive, folder)
    asked = [*map(str, places.folders), *map(without_login, places.mirrors), *(["its registry"] if places.direct else [])]
    raise ProviderMissingError(
        f"{package.address} {package.version} isn't there for {platform}; looked at: {', '.join(asked) or 'nothing'}",
        remedy="Choose a version that is published for this platform, or leave the platform out.",
        field="config.platforms",
    )


async def _mirrored(platform: Platform, search: Search) -> bool:
    """Have the engine ask the registries, once for all providers. False if it gets none."""
    folder = _mirror_folder(platform, search)
    if not folder.exists():
        argv = [*search.engine.argv(die_with=os.getpid()), "providers", "mirror", f"-platform={platform}", str(folder)]
        settings = {"TF_DATA_DIR": ".terraform", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
        folder.mkdir(parents=True)
        ended = await run_program(argv, folder=search.source, env={**search.env, **settings}, timeout=_MIRROR_SECONDS)
        if ended.exit_code != 0:
            for line in without_login(ended.output).splitlines():
                search.log(line)
    return any(folder.iterdir())


def _mirror_folder(platform: Platform, search: Search) -> Path:
    return search.work / f"mirror-{platform}"


def _unpack(archive: Path, folder: Path) -> str:
    extract_zip(archive, folder)
    return zip_hash(archive)


def _hold_to_lock(package: ProviderPackage, platform: Platform, own_hash: str, archive_hash: str, search: Search) -> None:
    """Take the package if the lock file has a hash of it, and write down the one that an install needs.

    Where the source came with none for this provider, and no registry has signed any, there is nothing to hold it to: it is
    taken as `init` takes that of its own platform.
    """
    known = read_lock(search.source).get(package.address, [])
    if own_hash in known:
        return
    nothing_known = package.address not in search.locked and not any(each.startswith("zh:") for each in known)
    if archive_hash not in known and not nothing_known:
        raise ProviderNotLockedError(
            f"the lock file has no hash of {package.address} {package.version} for {platform}",
            remedy=f"Run `{search.engine.name} providers lock -platform={platform}` in the module, and commit the lock file. "
            "If it has hashes for this platform, the package that was found is another one than the vendor has tried.",
            field="config.platforms",
        )
    add_hash(search.source, package.address, own_hash)
