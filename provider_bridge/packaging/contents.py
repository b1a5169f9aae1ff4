"""What goes into a package of the provider: its own modules, and the libraries that it loads, from here or from wheels.

The versions are those that are installed here: what was tested is what is packed.
"""

import importlib.metadata
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import provider_bridge

Files = dict[str, bytes]
"""Contents by their path below the folder that Python imports from."""

LIBRARIES = ("msgpack", "protobuf", "pyyaml")
"""The provider's requirements, with theirs."""

WHEEL_PLATFORMS = {
    "linux_amd64": ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64"),
    "linux_arm64": ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64"),
    "darwin_amd64": ("macosx_12_0_x86_64",),
    "darwin_arm64": ("macosx_12_0_arm64",),
}
"""What wheels call the platforms of Terraform that packages are made for."""

_COMPILED = {"linux": "{tag}-*linux-gnu.so", "darwin": "{tag}-darwin.so"}
_NOT_AT_RUN_TIME = ("cli.py", "install.py", "protocol/generate.py", "resources/prepare.py", "packaging/")
"""Of the provider's own modules: what only the `exclave` command and developers use."""

_DROPPED = re.compile(r"(^|/)(__pycache__|tests?)/|\.(py[cid]|pxd|pxi|pyx|proto)$|/py\.typed$")


class PackageError(Exception):
    """A package can't be made. The text says why, and what to do."""


@dataclass(frozen=True)
class Target:
    """For which machines a package is: the platform as Terraform writes it, and the versions of Python (`3.12`)."""

    platform: str
    pythons: tuple[str, ...]


def own_modules() -> Files:
    """The provider's modules and data files."""
    root = Path(provider_bridge.__file__).parent
    names = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return {
        f"provider_bridge/{name}": path.read_bytes()
        for name, path in names.items()
        if not name.startswith(_NOT_AT_RUN_TIME) and not _DROPPED.search(name)
    }


def installed_libraries() -> Files:
    """The libraries as they are installed beside this module: for this platform and this Python. Raises PackageError."""
    found: Files = {}
    for name in LIBRARIES:
        files = importlib.metadata.distribution(name).files
        if files is None:
            raise PackageError(f"{name} doesn't say which files are its own: install it with pip.")
        for file in files:
            if ".." not in file.parts and _wanted(file.as_posix()):
                found[file.as_posix()] = Path(str(file.locate())).read_bytes()
    return found


def downloaded_libraries(target: Target) -> Files:
    """The libraries from wheels, which pip fetches from its index. Wheels of several Pythons lie in one another.

    Raises PackageError.
    """
    wanted = [f"{name}=={importlib.metadata.version(name)}" for name in LIBRARIES]
    found: Files = {}
    for python in target.pythons:
        with tempfile.TemporaryDirectory(prefix="exclave-wheels-") as folder:
            _download(wanted, target.platform, python, folder)
            for wheel in sorted(Path(folder).glob("*.whl")):
                for name, content in _read_wheel(wheel):
                    if found.setdefault(name, content) != content:
                        raise PackageError(f"{wheel.name} has another {name} than the wheel of another Python.")
    _check(found, target)
    return found


def _download(wanted: list[str], platform: str, python: str, folder: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder]
    command += ["--disable-pip-version-check", "--implementation", "cp", "--python-version", python]
    for abi in (f"cp{python.replace('.', '')}", "abi3", "none"):
        command += ["--abi", abi]
    for name in WHEEL_PLATFORMS[platform]:
        command += ["--platform", name]
    done = subprocess.run([*command, *wanted], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it doesn't say why"]
        raise PackageError(f"pip can't fetch the libraries for {platform} and Python {python}: {said[-1]}")


def _read_wheel(wheel: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if not entry.is_dir() and _wanted(entry.filename):
                yield entry.filename, archive.read(entry)


def _wanted(name: str) -> bool:
    folder = PurePosixPath(name).parts[0]
    if folder.endswith((".dist-info", ".data")):
        return "licen" in name.lower() or name.endswith("COPYING")  # a licence travels with what it is for
    return not _DROPPED.search(name)


def _check(files: Files, target: Target) -> None:
    """Every Python has its compiled modules: the libraries would run without some of them, but slowly."""
    system = target.platform.partition("_")[0]
    for python in target.pythons:
        tag = f"cpython-{python.replace('.', '')}"
        end = _COMPILED[system].format(tag=tag)
        for module, pattern in (("msgpack/_cmsgpack", end), ("google/_upb/_message", "abi3.so")):
            if not any(PurePosixPath(name).match(f"{module}.{pattern}") for name in files):
                raise PackageError(f"the index has no compiled {module} for {target.platform} and Python {python}.")
