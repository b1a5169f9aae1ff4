"""`exclave login` against a real server, with the browser's part played by the test."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import httpx
import pytest
from openid_provider import FakeProvider, openid_provider
from server_process import ServerProcess

pytestmark = pytest.mark.anyio


def settings(provider: FakeProvider) -> str:
    """As docs/how-to/log-in-with-oidc.md shows them."""
    return f"""
[oidc]
issuer = "{provider.url}"
client_id = "exclave"
client_secret_file = "SECRET_FILE"

[[oidc.rules]]
claim = "groups"
value = "ops"
role = "deployer"
"""


async def exclave(url: str, home: Path, *arguments: str) -> asyncio.subprocess.Process:
    """A command, signed in with nothing but what a login has stored."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EXCLAVE_")}
    env = clean | {"EXCLAVE_URL": url, "XDG_CONFIG_HOME": str(home)}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "api.cli", *arguments, stdout=pipe, stderr=pipe, env=env)


async def confirm(server: ServerProcess, provider: FakeProvider, page: str) -> None:
    """What a person does in the browser: open the page, log in, confirm the code."""
    async with httpx.AsyncClient(base_url=server.url) as browser:
        to_login = await browser.get(page)
        to_provider = await browser.get(to_login.headers["location"])
        back = await browser.get(provider.authorize(to_provider.headers["location"]))
        shown = await browser.get(back.headers["location"])
        code = page.partition("user_code=")[2]
        assert code in shown.text
        form = {"user_code": code, "answer": "confirm"}
        done = await browser.post("/login/device", data=form, headers={"origin": server.url})
        assert "logged in" in done.text


async def test_login_gives_a_command_what_the_browser_confirmed_and_logout_takes_it_back(tmp_path: Path) -> None:
    data = tmp_path / "ims" / "data"
    data.mkdir(parents=True)
    (tmp_path / "secret").write_text("hush\n")
    async with openid_provider() as provider:
        provider.claims["groups"] = ["ops"]
        (data / "exclave.toml").write_text(settings(provider).replace("SECRET_FILE", str(tmp_path / "secret")))
        server = await asyncio.to_thread(ServerProcess, data)
        try:
            login = await exclave(server.url, tmp_path, "login")
            assert login.stderr
            page = re.fullmatch(r"Open (\S+)\n", (await login.stderr.readline()).decode())
            assert page
            await confirm(server, provider, page[1])
            said, _ = await login.communicate()
            assert (login.returncode, b"person:ann@vendor.example with the role deployer" in said) == (0, True)
            used = await exclave(server.url, tmp_path, "apps", "list")
            assert (await used.communicate(), used.returncode)[1] == 0
            out = await exclave(server.url, tmp_path, "logout")
            assert (await out.communicate(), out.returncode)[1] == 0
            after = await exclave(server.url, tmp_path, "whoami")
            assert (await after.communicate(), after.returncode)[1] != 0
        finally:
            server.end(signal.SIGKILL)
