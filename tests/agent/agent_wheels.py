"""Versions of the agent for tests: wheels of the code as it lies here, with another version string, or broken on purpose."""

import base64
import hashlib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "api")


def agent_wheel(
    folder: Path, version: str, *, changed: dict[str, str] | None = None, requires: str = "", whole: bool = True
) -> Path:
    """The wheel of Exclave `version`. `changed` are files with another content; `requires` is one more requirement.

    One that isn't `whole` has hardly a file, for tests that never start it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*" if whole else "cli.py")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files |= {name: text.encode() for name, text in (changed or {}).items()}
    metadata = distribution("exclave").read_text("METADATA") or ""
    own = distribution("exclave").version
    metadata = metadata.replace(f"\nVersion: {own}\n", f"\nVersion: {version}\n", 1)
    if requires:
        metadata = metadata.replace("\nRequires-Dist:", f"\nRequires-Dist: {requires}\nRequires-Dist:", 1)
    info = f"exclave-{version}.dist-info"
    files[f"{info}/METADATA"] = metadata.encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return write_wheel(folder / f"exclave-{version}-py3-none-any.whl", files, info)


def package_wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> Path:
    """The wheel of a package of one module."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    return write_wheel(folder / f"{name}-{version}-{tag}.whl", files, info)


def write_wheel(path: Path, files: dict[str, bytes], info: str) -> Path:
    record = "".join(f"{name},sha256={_record_hash(data)},{len(data)}\n" for name, data in sorted(files.items()))
    whole = {**files, f"{info}/RECORD": (record + f"{info}/RECORD,,\n").encode()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(whole.items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return path


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
