"""A bucket for tests of state, in MiniStack: an emulator of AWS by other people, which lives in an environment of its own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MiniStack's address."""
    own = ROOT / ".build/module-tests/emulators/bin/ministack"
    program = os.environ.get("EXCLAVE_TEST_MINISTACK") or (str(own) if own.exists() else shutil.which("ministack"))
    if program is None:
        pytest.skip("there is no MiniStack: run tests/modules/setup, or name one in EXCLAVE_TEST_MINISTACK")
    folder = tmp_path_factory.mktemp("ministack")
    own_port = socket.socket()
    own_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # MiniStack's has it, too: nobody else is given the port
    own_port.bind(("127.0.0.1", 0))
    port = own_port.getsockname()[1]
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "s3", "HOME": str(folder)}
    process = subprocess.Popen(
        [program],
        env={"PATH": os.environ["PATH"], **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                assert process.poll() is None, "MiniStack has ended"
                assert time.monotonic() < deadline, "MiniStack doesn't answer"
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        own_port.close()


@pytest.fixture
def s3_place(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What --state says of a new bucket there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    name = "states-" + tmp_path.parent.name[-20:].lower().replace("_", "-") + "-" + str(abs(hash(tmp_path)))[:10]
    boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1").create_bucket(Bucket=name)
    return f"s3://{name}/exclave?region=us-east-1&endpoint={s3_endpoint}"
