"""Packages that carry a Python of their own, for machines that have none: PyInstaller's folder, zipped. Made for this platform.

Needs the extra `self-contained`. Such a package isn't the same bytes each time.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from provider_bridge.packaging.build import file_name, write_zip
from provider_bridge.packaging.contents import PackageError

_ENTRY = "from provider_bridge.__main__ import main\n\nmain()\n"


def build_self_contained(version: str, here: str, output: Path) -> Path:
    """Write the package into the folder `output`, and return its path. Takes half a minute. Raises PackageError, OSError."""
    if importlib.util.find_spec("PyInstaller") is None:
        raise PackageError("a self-contained package needs PyInstaller: pip install 'exclave[self-contained]'.")
    program = f"terraform-provider-exclave_v{version}"
    with tempfile.TemporaryDirectory(prefix="exclave-package-") as folder:
        entry = Path(folder, "entry.py")
        entry.write_text(_ENTRY)
        command = [sys.executable, "-m", "PyInstaller", "--onedir", "--noconfirm", "--log-level", "ERROR", "--name", program]
        command += ["--distpath", f"{folder}/dist", "--workpath", f"{folder}/work", "--specpath", folder]
        command += ["--collect-all", "provider_bridge", str(entry)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env=os.environ | {"PYINSTALLER_CONFIG_DIR": f"{folder}/config"},
        )
        if done.returncode:
            raise PackageError(f"PyInstaller failed:\n{done.stderr.strip()[-2000:]}")
        made = Path(folder, "dist", program)
        # A zip of a mirror has no links: what PyInstaller links is written as what it leads to.
        files = {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    return write_zip(output / file_name(version, here), files, programs={program})
