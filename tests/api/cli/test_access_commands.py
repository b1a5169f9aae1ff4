"""`exclave tokens`, `whoami` and `logout`, and where a login is kept."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ims_driver import Body, running_ims
from listening_ims import exclave as command_line
from listening_ims import listening
from server_process import ServerProcess

from api.cli import exclave
from api.cli.stored_logins import drop_login, store_login, stored_login
from api.contract.access import TokenCreate
from api.db.transaction import Write
from api.tokens import service as tokens


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("access-cli") / "data")
    try:
        yield running
    finally:
        running.end(signal.SIGKILL)


@pytest.fixture
def run(server: ServerProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("EXCLAVE_URL", "EXCLAVE_TOKEN", "EXCLAVE_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def call(*arguments: str, signed_in: bool = True) -> Result:
        env = {"EXCLAVE_URL": server.url}
        if signed_in:
            env["EXCLAVE_TOKEN_FILE"] = str(server.data / "admin.token")
        return CliRunner().invoke(exclave, arguments, env=env)

    return call


def test_a_token_is_made_listed_used_and_revoked(run, server: ServerProcess) -> None:
    made = json.loads(run("tokens", "create", "ci", "--role", "viewer", "--expires-in", "30d", "--json").output)
    assert "viewer" in run("tokens", "list").output
    store_login(server.url, made["secret"])
    who = run("whoami", signed_in=False)
    assert (who.exit_code, "token:ci with the role viewer, until" in who.output) == (0, True)
    denied = run("tokens", "list", signed_in=False)
    assert (denied.exit_code, "role admin" in denied.stderr) == (5, True)
    denied = run("installs", "drift", "acme", signed_in=False)
    assert "may not deploy\nUse a token with the role deployer or admin." in denied.stderr
    assert run("tokens", "revoke", "ci").exit_code == 0
    assert run("whoami", signed_in=False).exit_code == 5
    assert run("tokens", "revoke", "nope").exit_code == 4
    assert run("tokens", "revoke", "admin").exit_code == 1


def test_who_has_no_token_left_makes_one_where_the_data_is(run, server: ServerProcess, tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def whoami(token: str) -> Body:
        async with running_ims(data, token=token) as ims:
            return await ims.ok("GET", "/v1/whoami")

    offline = ("tokens", "create", "--role", "admin", "--data", str(data))
    assert "has no database of an IMS" in run(*offline, "again").stderr
    asyncio.run(whoami(""))
    made = json.loads(run(*offline, "again", "--json").output)
    assert asyncio.run(whoami(made["secret"]))["name"] == "token:again"
    taken, unnamed = run(*offline, "again"), run(*offline, "No")
    assert (taken.exit_code, "there is a token named 'again' already" in taken.stderr) == (1, True), taken.stderr
    assert (unnamed.exit_code, "NAME can't be 'No'" in unnamed.stderr) == (2, True), unnamed.stderr
    assert "serves" in run(*offline[:-1], str(server.data), "again").stderr


def test_all_tokens_are_listed_however_many_there_are(tmp_path: Path) -> None:
    def make(tx: Write) -> None:
        for number in range(1000):
            tokens.create(tx, TokenCreate(name=f"t{number}", role="viewer"))

    async def listed() -> tuple[int, str]:
        async with running_ims(tmp_path / "ims") as ims, listening(ims) as url:
            await ims.state.db.write("system", make)
            return await command_line("tokens", "list", "--json", EXCLAVE_URL=url, EXCLAVE_TOKEN=ims.token)

    code, said = asyncio.run(listed())
    assert (code, len(json.loads(said)["items"])) == (0, 1001)


@pytest.mark.parametrize(
    "option", [("--scope", "team:a"), ("--expires-in", "soon"), ("--role", "root"), ("--expires-in", "1s")]
)
def test_wrong_options_are_told_before_anything_is_sent(run, option: tuple[str, str]) -> None:
    assert run("tokens", "create", "x", "--role", "viewer", *option).exit_code == 2


def test_without_a_provider_the_login_says_so(run) -> None:
    result = run("login", signed_in=False)
    assert (result.exit_code, "no login for people" in result.stderr) == (4, True)
    assert run("logout", signed_in=False).exit_code == 0


def test_a_stored_login_is_its_owners_alone_and_belongs_to_one_ims(run) -> None:
    file = store_login("https://a.example/", "excs_a")
    assert file.stat().st_mode & 0o777 == 0o600
    assert (stored_login("https://a.example"), stored_login("https://b.example")) == ("excs_a", None)
    assert drop_login("https://a.example")
    assert not drop_login("https://a.example")
