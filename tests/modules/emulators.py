"""The clouds of these tests: MiniStack for AWS, and keys that stand for Google's. On loopback."""

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".build/module-tests"


def python_of(environment: str) -> str:
    """The interpreter of an environment that `tests/modules/setup` makes. Skips the test if it isn't there."""
    python = ENVIRONMENTS / environment / "bin/python"
    if not python.exists():
        pytest.skip(f"there is no {python.parent.parent.relative_to(HERE.parents[1])}: run tests/modules/setup")
    return str(python)


class GoogleKeys:
    """A key that signs as Google does, one that nobody knows, and the tokens that are made with them."""

    def __init__(self) -> None:
        self._keys = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("google", "stranger")}

    def jwks(self) -> str:
        """The public half of Google's key."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._keys["google"].public_key()))
        return json.dumps({"keys": [{**key, "kid": "google", "alg": "RS256", "use": "sig"}]})

    def token(self, *, sub: str, aud: str, signed_by: str = "google", **claims: Any) -> str:
        """An ID token of a service account. A claim of None is left out."""
        now = int(time.time())
        usual = {"iss": "https://accounts.google.com", "azp": sub, "iat": now, "exp": now + 3600}
        payload = {name: value for name, value in {**usual, "sub": sub, "aud": aud, **claims}.items() if value is not None}
        return jwt.encode(payload, self._keys[signed_by], algorithm="RS256", headers={"kid": "google"})


@contextmanager
def running(python: str, program: Path, port_variable: str, environment: Mapping[str, str]) -> Iterator[str]:
    """A server in a process of its own, from when it answers on to the block's end. Yields its address."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_"))}
    with socket.socket() as own_port, tempfile.TemporaryFile("w+") as output:
        own_port.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # the server's has it, too: nobody else is given the port
        own_port.bind(("127.0.0.1", 0))
        port = own_port.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        process = subprocess.Popen(
            [python, str(program)], env={**kept, **environment, port_variable: str(port)}, stdout=output, stderr=output
        )
        try:
            _wait(process, address, output)
            yield address
        finally:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", address: str, output: TextIO) -> None:
    deadline = time.monotonic() + 240
    while True:
        if process.poll() is not None:
            output.seek(0)
            raise AssertionError(f"{address} has ended: {output.read()}")
        assert time.monotonic() < deadline, f"{address} doesn't answer"
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.HTTPError as answer:
            answer.close()
        except OSError:
            time.sleep(0.02)
            continue
        return


@contextmanager
def aws(folder: Path, keys: GoogleKeys) -> Iterator[str]:
    """MiniStack with IAM enforced. The root of account N has the access key N and the secret `test`. Yields its address."""
    python = python_of("emulators")
    jwks = folder / "jwks.json"
    jwks.write_text(keys.jwks())
    settings = {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "SERVICES": "iam,sts,ecr,s3,secretsmanager",
        "GOOGLE_JWKS": str(jwks),
        "HOME": str(folder),
    }
    with running(python, HERE / "ministack_aws.py", "GATEWAY_PORT", settings) as address:
        yield address


@contextmanager
def google(aws_endpoint: str) -> Iterator[str]:
    """The fake Google, which asks this AWS who somebody is. Yields its address."""
    with running(python_of("emulators"), HERE / "fake_google.py", "PORT", {"AWS_ENDPOINT": aws_endpoint}) as address:
        yield address
