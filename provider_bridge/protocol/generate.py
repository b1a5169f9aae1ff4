"""Compiles `tfplugin6.proto` into `tfplugin6_pb2.py` and its type stub: `python -m provider_bridge.protocol.generate`.

Needs the development extra (grpcio-tools). The service itself isn't compiled: `serve.py` routes calls by their name, so no
generated code depends on a release of grpcio.
"""

import subprocess
import sys
from pathlib import Path

PROTO = Path(__file__).with_name("tfplugin6.proto")


def generate(folder: Path) -> None:
    """Write `tfplugin6_pb2.py` and `tfplugin6_pb2.pyi` into `folder`. Raises CalledProcessError if the compiler refuses."""
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}"]
    subprocess.run([*protoc, f"--python_out={folder}", f"--pyi_out={folder}", PROTO.name], check=True)
    stub = folder / "tfplugin6_pb2.pyi"
    # protobuf ships no types, so the stub's own base classes can't pass a strict check. What it says of ours still counts.
    stub.write_text("# mypy: ignore-errors\n" + stub.read_text())


if __name__ == "__main__":
    generate(PROTO.parent)
