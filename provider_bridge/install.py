"""Puts the provider where `terraform init` and `tofu init` look for it without any configuration of theirs.

Both take providers from an implied mirror, `~/.terraform.d/plugins`, laid out as
`HOST/NAMESPACE/TYPE/VERSION/OS_ARCH/terraform-provider-TYPE_vVERSION`. The package there is one launcher, the same bytes on
every machine: a lock file records the package's hash and travels with the vendor's repository. What differs stands in a file
beside the package, `VERSION/OS_ARCH.python`: the path of this machine's Python, of what pip wrote there about this version,
and of each folder that the provider's modules are in.
"""

import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE = "exclave/exclave"
HOSTS = ("registry.terraform.io", "registry.opentofu.org")
"""Where Terraform and OpenTofu, each, take `exclave/exclave` to live."""

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "FreeBSD": "freebsd"}
_ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "i386": "386",
    "i686": "386",
    "armv6l": "arm",
    "armv7l": "arm",
}

_LAUNCHER = """\
#!/bin/sh
# Starts Exclave's Terraform provider with the Python that `exclave provider install` has noted beside this package.
# -I and -S: nothing is imported from the working folder and the environment, and no time goes into looking for packages.
package="${0%/*}"
version="${0##*_v}"
note="$package/../${package##*/}.python"
{ read -r python && read -r installed; } < "$note" || python=
if [ -x "$python" ] && [ -d "$installed" ]; then
  exec "$python" -I -S -c 'import sys
with open(sys.argv.pop(1), encoding="utf-8") as note:
    sys.path += note.read().splitlines()[2:]
from provider_bridge.__main__ import main
main()' "$note" "$@"
fi
if [ -x "$python" ]; then
  echo "$python has another version of Exclave than $version by now: run 'exclave provider install', then 'terraform init" \
    "-upgrade'; or go back with 'pip install exclave==$version'." >&2
else
  echo "The Python of Exclave's Terraform provider is gone: run 'exclave provider install' again." >&2
fi
exit 1
"""

_FIND = """\
import importlib.metadata, pathlib
import google.protobuf, msgpack, provider_bridge, yaml
print(importlib.metadata.distribution("exclave").locate_file(""), end="/exclave-")
print(importlib.metadata.version("exclave") + ".dist-info")
modules = (provider_bridge, google.protobuf, msgpack, yaml)
print(*dict.fromkeys(pathlib.Path(each.__file__).parents[each.__name__.count(".") + 1] for each in modules), sep="\\n")
"""
_LOAD = """\
import sys
sys.path += sys.argv[1:]
import provider_bridge.resources.provider, provider_bridge.protocol.serve
"""


class InstallError(Exception):
    """The provider can't be installed. The text says why, and what to do."""


@dataclass(frozen=True)
class Installed:
    """What is installed now. `changed` says whether anything had to be written for it."""

    version: str
    platform: str
    directory: Path
    launchers: tuple[Path, ...]
    changed: bool


def default_directory() -> Path:
    """The implied mirror of the current user."""
    return Path.home() / ".terraform.d" / "plugins"


def terraform_platform(system: str, machine: str) -> str:
    """`OS_ARCH` as Terraform writes it, from what `platform` calls them. Raises InstallError for others."""
    if system not in _SYSTEMS or machine.lower() not in _ARCHITECTURES:
        raise InstallError(f"The provider doesn't run on {system} {machine}: it needs Linux, macOS or FreeBSD.")
    return f"{_SYSTEMS[system]}_{_ARCHITECTURES[machine.lower()]}"


def terraform_version(python_version: str) -> str:
    """A Python version (PEP 440) as a semantic version: `0.2.0.dev3` is `0.2.0-dev3`."""
    match = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.?(a|b|rc|dev)(\d+))?", python_version)
    if not match:
        raise InstallError(f"{python_version!r} is not a version.")
    numbers = ".".join(part or "0" for part in match.group(1, 2, 3))
    return f"{numbers}-{match[4]}{match[5]}" if match[4] else numbers


def install(directory: Path, python_version: str, *, python: str = sys.executable) -> Installed:
    """Write launchers and notes under `directory`, each file whole or not at all. Does nothing where they are right already.

    `python` is the interpreter that Terraform will start. Raises InstallError if it can't load the provider, OSError if the
    directory can't be written.
    """
    version = terraform_version(python_version)
    target = terraform_platform(platform.system(), platform.machine())
    installed = _check_interpreter(python)
    launchers, changed = [], False
    for host in HOSTS:
        package = directory / host / SOURCE / version / target
        package.mkdir(parents=True, exist_ok=True)
        launcher = package / f"terraform-provider-exclave_v{version}"
        # The note comes first: a launcher never stands without it.
        changed |= _write(package.parent / f"{target}.python", f"{python}\n{installed}\n", 0o644, package.parent)
        changed |= _write(launcher, _LAUNCHER, 0o755, package.parent)
        launchers.append(launcher)
    return Installed(version, target, directory, tuple(launchers), changed)


def _check_interpreter(python: str) -> str:
    """Load the provider once as Terraform will. It also leaves compiled files, so that the first real start is a fast one.

    Returns lines for the note: the folder that pip made for this version, which goes when another version comes, and those
    that modules are in.
    """
    found = _run(python, "-I", "-c", _FIND)
    _run(python, "-I", "-S", "-c", _LOAD, *found.splitlines()[1:])
    return found


def _run(python: str, *arguments: str) -> str:
    done = subprocess.run([python, *arguments], capture_output=True, text=True, cwd="/")
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise InstallError(
            f"{python} can't load the provider by itself: {reason}\n"
            "Install exclave into a virtual environment (not with `pip install --user`), and run its `exclave`."
        )
    return done.stdout.strip()


def _write(path: Path, content: str, mode: int, beside: Path) -> bool:
    """Whether the file had to be written. `beside` is a folder of the same file system, outside the package that is hashed."""
    if path.is_file() and path.read_text() == content and path.stat().st_mode & 0o777 == mode:
        return False
    draft = beside / f".{path.name}.{os.getpid()}"
    draft.write_text(content)
    draft.chmod(mode)
    draft.replace(path)
    return True
