"""Makes packages of the provider: the zips that a registry or a mirror serves.

The same modules, libraries and Pythons make the same bytes: files are in order, their times are fixed, and what Python compiles
is compiled in one process without random hashes. Compiled files are valid whatever time an unzip gives their sources (PEP 552,
`unchecked-hash`): else each start would compile everything anew, half a second of it.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from provider_bridge.packaging import launchers
from provider_bridge.packaging.contents import (
    WHEEL_PLATFORMS,
    Files,
    PackageError,
    Target,
    downloaded_libraries,
    installed_libraries,
    own_modules,
)

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""Those that a package can be made for."""

THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_COMPILE = """\
import compileall, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
sys.exit(not compileall.compile_dir(sys.argv[1], quiet=1, stripdir=sys.argv[1], invalidation_mode=mode))
"""


def file_name(version: str, platform: str) -> str:
    """A package's name, as registries and mirrors want it."""
    return f"terraform-provider-exclave_{version}_{platform}.zip"


def find_python(name: str) -> tuple[str, str] | None:
    """The version and the real path of an interpreter, named by version (`3.12`) or by path; None if it can't be started.

    What lies on PATH may be a shim that starts another one, or none.
    """
    program = sys.executable if name == THIS_PYTHON else f"python{name}" if name[:1].isdigit() else name
    script = "import os, sys; print('%d.%d' % sys.version_info[:2], os.path.realpath(sys.executable))"
    try:
        asked = subprocess.run(
            [program, "-I", "-S", "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    version, _, path = asked.stdout.strip().partition(" ")
    return version, path


def choose_pythons(named: Sequence[str], *, every: bool) -> dict[str, str]:
    """The interpreters to pack for, by version: those named, else `every` one of this machine's, else this one alone.

    Raises PackageError.
    """
    found: dict[str, str] = {}
    for name in named or (PYTHONS if every else (THIS_PYTHON,)):
        python = find_python(name)
        if python and python[0] in PYTHONS:
            found.setdefault(*python)
        elif named:
            what = f"Python {python[0]}, for which there are no packages" if python else "no Python that can be started"
            raise PackageError(
                f"{name} is {what}. Name one of {', '.join(PYTHONS)}, or its path: it compiles what it will load."
            )
    return dict(sorted(found.items(), key=lambda one: PYTHONS.index(one[0])))


def build(target: Target, interpreters: Mapping[str, str], version: str, here: str, output: Path) -> Path:
    """Write the package for one target into the folder `output`, whole or not at all, and return its path.

    `interpreters` has one of each Python of the target, which compiles what it will load. `here` is this platform: for
    it and this Python alone, the libraries are those installed; else pip fetches wheels. Raises PackageError, OSError.
    """
    if target.platform not in (here, *WHEEL_PLATFORMS):
        raise PackageError(f"there are no packages for {target.platform}: choose of {', '.join(WHEEL_PLATFORMS)}.")
    is_here = target == Target(here, (THIS_PYTHON,))
    libraries = installed_libraries() if is_here else downloaded_libraries(target)
    with tempfile.TemporaryDirectory(prefix="exclave-package-") as folder:
        library = Path(folder, "lib")
        _write(library, libraries | own_modules())
        for python in target.pythons:
            _compile(library, interpreters[python])
        files = {
            f"lib/{path.relative_to(library).as_posix()}": path.read_bytes() for path in library.rglob("*") if path.is_file()
        }
    program = f"terraform-provider-exclave_v{version}"
    files |= {program: launchers.launcher(target.pythons), "start.py": launchers.start(target.pythons)}
    return write_zip(output / file_name(version, target.platform), files, programs={program})


def write_zip(path: Path, files: Mapping[str, bytes], *, programs: set[str]) -> Path:
    """Write a zip whose bytes depend on nothing but the files. `programs` are those that may be executed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(draft, "w") as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name, _ZIP_TIME)
                entry.create_system = 3  # Unix: the mode counts
                entry.external_attr = (0o100755 if name in programs else 0o100644) << 16
                archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 6)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _compile(library: Path, interpreter: str) -> None:
    environment = {"PYTHONHASHSEED": "0"}  # a set's order is compiled with it
    done = subprocess.run(
        [interpreter, "-P", "-S", "-c", _COMPILE, str(library)], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise PackageError(f"{interpreter} can't compile the provider: {(done.stdout + done.stderr).strip()}")
