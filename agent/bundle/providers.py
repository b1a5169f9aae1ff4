"""The providers and modules that a module needs from outside of its own folder (`closure`)."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from agent.bundle.hcl import Block, read_blocks, text
from agent.bundle.platform import Platform
from agent.bundle.zip import PackedFile
from agent.failure import CodedError

_BUILT_IN = "terraform.io/builtin/terraform"
_GETTER = re.compile(r"^[a-z0-9]+::", re.IGNORECASE)


class ModuleLeaksError(CodedError):
    """`closure`: the module calls another one by a path that leaves its folder, and so wouldn't be in the bundle."""

    code = "module_not_closed"
    remedy = (
        'Put the called module into the folder of this one and call it by a path such as "./modules/name", or call it by an '
        "address of a registry or of a repository: then it travels in the bundle."
    )


class ProviderMissingError(CodedError):
    """A provider was installed, but not as a package for the bundle's platform."""

    code = "provider_missing"


@dataclass(frozen=True)
class ProviderPackage:
    """One provider as it will lie in the bundle. `title` is its path in a packed filesystem mirror."""

    address: str
    version: str
    title: str
    files: tuple[PackedFile, ...]


@dataclass
class Needs:
    """What the module and the modules in its folder need from outside: addresses, as they write them.

    Terraform's built-in provider isn't among the `providers`. What the `modules` from elsewhere need isn't known yet.
    """

    providers: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.providers or self.modules)


def needs_of(folder: Path) -> Needs:
    """Read what the module in `folder` needs. Blocks; raises ModuleUnreadableError and ModuleLeaksError."""
    needs = Needs()
    seen: set[PurePosixPath] = set()
    unread = [PurePosixPath()]
    while unread:
        place = unread.pop()
        if place in seen:
            continue
        seen.add(place)
        blocks = read_blocks(folder / place)
        for block in blocks:
            if block.type == "module":
                called = _called(block, place, folder)
                if isinstance(called, str):
                    needs.modules.add(called)
                else:
                    unread.append(called)
        needs.providers.update(_sources(blocks))
    needs.providers.discard(_BUILT_IN)
    return needs


def is_remote(source: str) -> bool:
    """Whether a module's source is an address elsewhere, rather than a path on this machine, however it is spelt."""
    return not _GETTER.sub("", source.strip()).lower().startswith((".", "/", "~", "\\", "file:"))


def installed_packages(data: Path, platform: Platform) -> list[ProviderPackage]:
    """The providers that `init` has put into its data folder, ready to be packed. Raises ProviderMissingError."""
    packages = []
    for version in sorted((data / "providers").glob("*/*/*/*")):
        files = package_files(version / str(platform))
        address = "/".join(version.parts[-4:-1])
        if not files:
            raise ProviderMissingError(f"{address} {version.name} has no package for {platform}")
        packages.append(ProviderPackage(address, version.name, package_title(address, version.name, platform), files))
    return packages


def package_title(address: str, version: str, platform: Platform) -> str:
    """The path of a provider's zip in a bundle, which without `providers/` is its path in any packed filesystem mirror."""
    return f"providers/{address}/terraform-provider-{address.rpartition('/')[2]}_{version}_{platform}.zip"


def package_files(package: Path) -> tuple[PackedFile, ...]:
    """The files of an unpacked package. Blocks."""
    # From a mirror or a cache, `init` links the package's folder instead of copying it.
    root = package.resolve()
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return tuple(PackedFile(path.relative_to(root).as_posix(), path, os.access(path, os.X_OK)) for path in files)


def _called(call: Block, place: PurePosixPath, root: Path) -> PurePosixPath | str:
    """The folder that a call names, or its address if that is elsewhere."""
    source = text(call.body.get("source", ""))
    if source and is_remote(source):
        return source
    name = f'{_line_of(source, place, root)}module "{call.labels[0]}"'
    if not source.startswith(("./", "../")) and source not in (".", ".."):
        raise ModuleLeaksError(f"{name} calls {source!r}, which lies outside of the component's folder")
    parts: list[str] = []
    for part in (place / source).parts:
        if part == "..":
            if not parts:
                raise ModuleLeaksError(f"{name} calls {source!r}, which lies outside of the component's folder")
            parts.pop()
        else:
            parts.append(part)
    called = PurePosixPath(*parts)
    if not (root / called).is_dir():
        raise ModuleLeaksError(f"{name} calls {source!r}, which isn't there", remedy="Correct the path, and apply again.")
    return called


def _line_of(source: str, place: PurePosixPath, root: Path) -> str:
    """Where a module writes this source, as `file:line: `; the parser doesn't keep it."""
    for file in sorted((root / place).glob("*.tf*")):
        lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
        for number, line in enumerate(lines, start=1):
            if "source" in line and f'"{source}"' in line:
                return f"{place / file.name}:{number}: "
    return f"in {place}: " if place.parts else ""


def _sources(blocks: Iterable[Block]) -> Iterator[str]:
    """The address of each provider that these blocks name or imply (Terraform language: "Provider Requirements")."""
    required: dict[str, str] = {}
    used: set[str] = set()
    for block in blocks:
        if block.type == "terraform":
            for requirements in _as_list(block.body.get("required_providers", [])):
                required |= {text(name): _source(text(name), wanted) for name, wanted in requirements.items()}
        elif block.type == "provider":
            used.add(block.labels[0])
        elif block.type in ("resource", "data", "ephemeral"):
            named = text(block.body.get("provider", ""))
            used.add(named.partition(".")[0] or block.labels[0].partition("_")[0])
    yield from required.values()
    for name in used - set(required):
        yield _BUILT_IN if name == "terraform" else f"hashicorp/{name}"


def _source(name: str, wanted: object) -> str:
    source = text(wanted.get("source", "")) if isinstance(wanted, dict) else ""
    return source or f"hashicorp/{name}"


def _as_list(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []
