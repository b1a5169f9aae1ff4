"""The provider on every Python that is here: a start, the handshake, and calls over TLS."""

import base64
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import google.protobuf
import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tls_clients import client

import provider_bridge
from provider_bridge.protocol import serve
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.values import encode

SECONDS = 120
LIBRARIES = Path(google.protobuf.__file__).parents[2]
"""protobuf's compiled half is for all of them; msgpack and yaml have one in Python for those that theirs isn't for."""

_START = "import sys; sys.path[:0] = sys.argv[1:]; from provider_bridge.__main__ import main; sys.argv[1:] = []; main()"


def interpreter(version: str) -> str:
    """A Python of this version: the one that runs, or from PATH, or pyenv's. Skips the test if there is none."""
    if sys.version.startswith(f"{version}."):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for program in (shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))):
        # A shim of pyenv's may know of none.
        if program and subprocess.run([program, "-V"], capture_output=True, text=True).stdout.startswith(f"Python {version}."):
            return program
    pytest.skip(f"there is no Python {version}")


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_terraform_finds_the_provider_at_work(version: str) -> None:
    ours, name = client(ec.SECP256R1()), "exclave_app"
    environment = {**os.environ, **dict([serve._COOKIE]), "PLUGIN_CLIENT_CERT": ours.pem.decode()}
    command = [
        interpreter(version),
        "-IBSW",
        "error",
        "-c",
        _START,
        str(Path(provider_bridge.__file__).parents[1]),
        str(LIBRARIES),
    ]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        hello = process.stdout.readline()
        assert hello.startswith("1|6|unix|"), process.stderr.read()
        socket, der = hello.split("|")[3], hello.strip().split("|")[5]
        theirs = ssl.DER_cert_to_PEM_cert(base64.b64decode(der + "=" * (-len(der) % 4))).encode()
        credentials = grpc.ssl_channel_credentials(theirs, ours.key_pem, ours.pem)
        with grpc.secure_channel(f"unix:{socket}", credentials, [("grpc.ssl_target_name_override", "localhost")]) as channel:

            def call(path: str, request: bytes) -> bytes:
                answer: bytes = channel.unary_unary(path)(request, timeout=SECONDS)
                return answer

            schema = pb.GetProviderSchema.Response.FromString(call("/tfplugin6.Provider/GetProviderSchema", b""))
            assert name in schema.resource_schemas
            config = dict.fromkeys(each.name for each in schema.resource_schemas[name].block.attributes) | {"name": "No name"}
            asked = pb.ValidateResourceConfig.Request(type_name=name, config=pb.DynamicValue(msgpack=encode(config)))
            answer = call("/tfplugin6.Provider/ValidateResourceConfig", asked.SerializeToString())
            (wrong,) = pb.ValidateResourceConfig.Response.FromString(answer).diagnostics
            assert wrong.attribute.steps[0].attribute_name == "name"
            call("/plugin.GRPCController/Shutdown", b"")
        assert process.wait(SECONDS) == 0
        assert process.stderr.read() == ""
