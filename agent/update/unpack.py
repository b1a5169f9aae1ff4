"""Make a version's folder of its wheels: a virtual environment of its own that falls back on the installed packages.

A wheel is a zip file whose content is what belongs on Python's path (PEP 427); nothing in it is run to install it.
"""

import compileall
import os
import py_compile
import shutil
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from agent.bundle.zip import Limits, extract_zip
from agent.update.artifact import NotAnAgentError
from agent.update.versions import Versions

_LIMITS = Limits(entries=50_000, bytes=2 * 1024**3)


def unpack(wheels: Sequence[Path], version: str, digest: str, versions: Versions, installed: Sequence[Path]) -> None:
    """Make the folder of `version`, which appears whole or not at all. Blocks.

    `installed` are the folders with the packages that it falls back on. Raises NotAnAgentError if a package that it needs is
    missing or too old there, and UnsafeZipError.
    """
    versions.prepare()
    partial = versions.folder / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    venv.EnvBuilder(symlinks=True, with_pip=False).create(partial)
    shutil.rmtree(partial / "include", ignore_errors=True)
    for script in list((partial / "bin").iterdir()):
        if not script.name.startswith("python"):
            script.unlink()  # activate and the like: nobody's shell comes here
    packages = partial / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for wheel in wheels:
        _install(wheel, packages, partial)
    _check_requirements(packages, installed, version)
    lines = [f"import site; site.addsitedir({str(folder)!r})\n" for folder in installed]
    (packages / "exclave-installed.pth").write_text("".join(lines))
    _write_command(partial)
    compileall.compile_dir(packages, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    folder = versions.root(version)
    shutil.rmtree(folder, ignore_errors=True)
    versions.describe(version, digest, partial, installed)
    os.sync()
    partial.rename(folder)


def _install(wheel: Path, packages: Path, scratch: Path) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as temporary:
        content = Path(temporary, "content")
        extract_zip(wheel, content, _LIMITS)
        for top in sorted(content.iterdir()):
            if not top.name.endswith(".data"):
                _merge(top, packages / top.name)
                continue
            for scheme in ("purelib", "platlib"):  # scripts, headers and data are for people, not for an agent
                for one in sorted((top / scheme).iterdir()) if (top / scheme).is_dir() else []:
                    _merge(one, packages / one.name)


def _merge(source: Path, target: Path) -> None:
    """Move a file or a folder; two wheels may have parts of one folder, but not one file."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
        for each in sorted(source.iterdir()):
            _merge(each, target / each.name)
    elif target.exists():
        raise NotAnAgentError(f"two wheels of the agent have the file {target.name}")
    else:
        source.rename(target)


def _check_requirements(packages: Path, installed: Sequence[Path], version: str) -> None:
    """What Exclave's own wheel asks for is in its wheels, or installed here, and new enough."""
    there = {name: found for name, found in _found([packages, *installed])}
    own = next((each for name, each in _found([packages]) if name == "exclave"), None)
    if own is None or Version(own.version) != Version(version):
        raise NotAnAgentError(f"the wheels have no metadata of Exclave {version}")
    if own.metadata["Requires-Python"] and not SpecifierSet(own.metadata["Requires-Python"]).contains(_python()):
        raise NotAnAgentError(
            f"Exclave {version} needs Python {own.metadata['Requires-Python']}, and this machine's is {_python()}",
            remedy="Install it anew on this machine, with a newer Python.",
        )
    for text in own.requires or []:
        need = Requirement(text)
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        found = there.get(canonicalize_name(need.name))
        if found is None or not need.specifier.contains(found.version, prereleases=True):
            has = f"has {need.name} {found.version}" if found else f"has no {need.name}"
            raise NotAnAgentError(f"Exclave {version} needs {need}, and this machine {has}")


def _found(folders: Sequence[Path]) -> Iterator[tuple[str, Distribution]]:
    """Each package by its name; of one that is there twice, the one in the first folder comes last, and counts."""
    for folder in reversed(folders):
        for each in distributions(path=[str(folder)]):
            yield canonicalize_name(each.metadata["Name"]), each


def _python() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _write_command(folder: Path) -> None:
    """`bin/exclave`, for people: the commands of the very version that runs."""
    command = folder / "bin" / "exclave"
    command.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -B -P -m api.cli "$@"\n')
    command.chmod(0o755)
