"""The modules from elsewhere that a module calls, as `init` has put them into its folder, made ready to travel (`closure`).

They stay where the engine looks for them, `.terraform/modules`, with its list of which call is answered by which folder: an
`init` in the customer's account finds them there, and asks no network (https://developer.hashicorp.com/terraform/cli/init).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.bundle.providers import ModuleLeaksError, is_remote
from agent.failure import CodedError
from agent.oci.manifest import canonical_json
from api.contract.source_digest import SourceError, SourceFile, source_files

MODULES = ".terraform/modules"
_LIST = "modules.json"
_LOCAL = ("./", "../")


class ModulesUnreadableError(CodedError):
    """What the engine installed as modules can't be packed."""

    code = "module_unreadable"
    remedy = "Correct the module that is called, or call a version of it that is in order."


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str = Field(alias="Key")
    source: str = Field(alias="Source")
    version: str = Field(default="", alias="Version")
    folder: str = Field(alias="Dir")


class _List(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    modules: list[_Entry] = Field(alias="Modules")


@dataclass(frozen=True)
class VendoredModule:
    """One package of modules from elsewhere. `version` is what a registry's constraint came to, empty for another address.

    `folder` is where the package lies; `calls` are the calls that it answers, such as `network.subnets`.
    """

    source: str
    version: str
    folder: Path
    calls: tuple[str, ...]


def vendored_modules(source: Path) -> tuple[VendoredModule, ...]:
    """The packages that `init` has installed below `source`, and its list of them in an order that never changes.

    Raises ModuleLeaksError for one that lies elsewhere on this machine, and ModulesUnreadableError.
    """
    file = source / MODULES / _LIST
    if not file.is_file():
        return ()
    try:
        listed = json.loads(file.read_bytes())
        entries = _List.model_validate(listed).modules
    except (ValueError, ValidationError) as error:
        raise ModulesUnreadableError(f"the engine's list of modules can't be read: {error}") from None
    packages: dict[tuple[str, str], list[_Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.key):
        if not entry.key or entry.source.startswith(_LOCAL):
            _check_place(entry, source)
            continue
        if not is_remote(entry.source):
            raise ModuleLeaksError(f"module {entry.key} calls {entry.source!r}, which lies on the build agent's own machine")
        _check_place(entry, source)
        packages.setdefault((_package(entry.source), entry.version), []).append(entry)
    file.write_bytes(canonical_json({**listed, "Modules": sorted(listed["Modules"], key=lambda each: str(each["Key"]))}))
    return tuple(
        VendoredModule(package, version, source / MODULES / found[0].key, tuple(each.key for each in found))
        for (package, version), found in sorted(packages.items())
    )


def vendored_files(source: Path) -> list[SourceFile]:
    """The files of all vendored modules, by their names below `source`. Raises ModuleLeaksError and ModulesUnreadableError."""
    folder = source / MODULES
    return list(_files(folder)) if folder.is_dir() else []


def _files(folder: Path) -> Iterator[SourceFile]:
    root = folder.resolve()
    try:
        found = source_files(str(folder))
    except (OSError, SourceError) as error:
        raise ModulesUnreadableError(f"a module that is called can't be packed: {error}") from None
    for file in found:
        if ".git" in file.name.split("/"):  # of a submodule
            continue
        # A module of somebody else's must not reach the build agent's own files, such as its signing key.
        if not Path(file.path).resolve().is_relative_to(root):
            raise ModuleLeaksError(f"{file.name!r} of a module that is called is a link that leaves it", remedy="Call another.")
        yield SourceFile(f"{MODULES}/{file.name}", file.path, file.executable)


def _check_place(entry: _Entry, source: Path) -> None:
    if not (source / entry.folder).resolve().is_relative_to(source.resolve()):
        raise ModuleLeaksError(f"module {entry.key} calls {entry.source!r}, which lies outside of the component's folder")


def _package(source: str) -> str:
    """The address without the folder inside it: `git::https://host/x.git//sub?ref=v1` is `git::https://host/x.git?ref=v1`."""
    scheme, separator, rest = source.rpartition("://")
    address, _, query = rest.partition("?")
    return scheme + separator + address.partition("//")[0] + ("?" + query if query else "")
