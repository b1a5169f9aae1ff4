"""Bring the source of a build into a folder of its own, where nobody changes it while it is packed."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.build.git import GitFailedError, GitLogin, check_out
from agent.failure import CodedError
from api.contract.components import GitSource, PathSource, Source
from api.contract.source_digest import SourceError, SourceFile, source_digest, source_files


class SourceNotFoundError(CodedError):
    """The folder isn't there, or not on the build agent's machine."""

    code = "source_not_found"
    remedy = "Correct the path; or run a build agent on the machine that has the folder; or use a git source."


class SourceUnreadableError(CodedError):
    """The folder has something in it that can't be part of a source."""

    code = "source_unreadable"


class SourceChangedError(CodedError):
    """`digest-pinned`: the folder's content isn't what the config was made from."""

    code = "source_changed"
    remedy = "Apply again: the new content makes a new version of the component."


@dataclass(frozen=True)
class FetchedSource:
    """A copy of the source. `revision` is the commit, or the content hash; `created` the commit's time, or None."""

    folder: Path
    revision: str
    created: str | None


def field_of(source: Source) -> str:
    """The field of the config that says where the source is."""
    return "config.source.path" if source.path else "config.source.git"


async def fetch_source(source: Source, work: Path, env: Mapping[str, str], login: GitLogin | None = None) -> FetchedSource:
    """Copy the source into a new folder in `work`, without what `source_files` leaves out.

    Raises SourceNotFoundError, SourceUnreadableError, SourceChangedError, GitFailedError, each with the field at fault.
    """
    folder = work / "source"
    if source.path is not None:
        return await asyncio.to_thread(_copy_path, source.path, folder)
    assert source.git is not None
    return await _fetch_git(source.git, work / "checkout", folder, env, login)


def _copy_path(source: PathSource, folder: Path) -> FetchedSource:
    origin = Path(source.path)
    if not origin.is_dir():
        what = "is not a folder" if origin.exists() else "doesn't exist on the build agent's machine"
        raise SourceNotFoundError(f"{source.path} {what}", field="config.source.path")
    try:
        _copy(source_files(str(origin)), folder)
        revision = source_digest(str(folder))
    except (OSError, SourceError) as error:
        raise SourceUnreadableError(f"{source.path} can't be read: {error}", field="config.source.path") from None
    if source.digest not in (None, revision):
        raise SourceChangedError(
            f"{source.path} has the content {revision}, and this version of the component was made from {source.digest}",
            field="config.source.path",
        )
    return FetchedSource(folder, revision, None)


async def _fetch_git(
    source: GitSource, checkout: Path, folder: Path, env: Mapping[str, str], login: GitLogin | None
) -> FetchedSource:
    try:
        commit = await check_out(source, checkout, env, login)
        await asyncio.to_thread(_copy_subdirectory, source, checkout, folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, checkout, ignore_errors=True)
    return FetchedSource(folder, commit.hash, commit.created)


def _copy_subdirectory(source: GitSource, checkout: Path, folder: Path) -> None:
    origin = checkout / source.subdirectory
    if not origin.is_dir() or not _inside(origin, checkout):
        raise GitFailedError(
            f"the repository has no folder {source.subdirectory!r} at {source.ref}",
            remedy="Correct the subdirectory.",
            field="config.source.git.subdirectory",
        )
    try:
        files = source_files(str(origin))
        for file in files:
            # A repository must not reach the build agent's own files, such as its signing key.
            if not _inside(Path(file.path), checkout):
                raise SourceError(f"{file.name!r} is a link that leaves the repository; remove it")
        _copy(files, folder)
    except (OSError, SourceError) as error:
        raise SourceUnreadableError(f"the source can't be read: {error}", field="config.source.git.subdirectory") from None


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _copy(files: list[SourceFile], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, target)
        os.chmod(target, 0o755 if file.executable else 0o644)  # noqa: PTH101 - an executable of the source stays one
