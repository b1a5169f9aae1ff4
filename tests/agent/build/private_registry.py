"""Debian's docker-registry behind a password: a private source. Every user of it has the password `secret`."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from registry_server import RegistryServer

# bcrypt of `secret`, with four rounds.
_HASH = "$2b$04$k8TO1gT6M29csKm950bm4.PR5teSI3tKBasQwbqM5vHCvPQBJLvp."
USERS = ("writer", "AWS", "oauth2accesstoken", "principal")


@asynccontextmanager
async def private_registry(folder: Path, http: httpx.AsyncClient) -> AsyncIterator[RegistryServer]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (apt-get install docker-registry)")
    folder.mkdir()
    (folder / "htpasswd").write_text("".join(f"{user}:{_HASH}\n" for user in USERS))
    config = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": "127.0.0.1:0", "secret": "test"},
        "auth": {"htpasswd": {"realm": "private", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "serve", str(folder / "config.yml"), stdout=log, stderr=log)
    try:
        yield RegistryServer(f"http://{await _address(folder / 'log')}", http, folder / "data")
    finally:
        process.terminate()
        await process.wait()


async def _address(log: Path) -> str:
    async with asyncio.timeout(240):
        while True:
            found = re.search(r"listening on ([0-9.]+:[0-9]+)", log.read_text())
            if found:
                return found[1]
            await asyncio.sleep(0.02)
