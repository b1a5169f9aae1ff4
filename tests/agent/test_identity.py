from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from agent_protocol_server import TOKEN, AgentProtocolServer, agent_protocol_server

from agent.identity import Home, HomeInUseError, IdentityError
from api.client import ApiError, ImsClient

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ims() -> AsyncIterator[AgentProtocolServer]:
    async with agent_protocol_server(vendor_keys=["pem"]) as server:
        yield server


async def test_an_agent_enrols_once_and_is_known_from_then_on(
    ims: AgentProtocolServer, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    home = Home(tmp_path / "home")
    assert home.identity() is None
    identity = await home.enroll(ImsClient(ims.url, None, http), TOKEN, "agent", None)
    known = Home(tmp_path / "home").identity()
    assert known
    assert known.enrolled == identity.enrolled
    assert known.enrolled.vendor_keys == ["pem"]


async def test_a_crash_between_the_answer_and_the_disk_gives_the_same_identity(
    ims: AgentProtocolServer, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    client = ImsClient(ims.url, None, http)
    first = await Home(tmp_path / "home").enroll(client, TOKEN, "agent", None)
    (tmp_path / "home" / "identity.json").unlink()
    again = await Home(tmp_path / "home").enroll(client, TOKEN, "agent", None)
    assert again.enrolled == first.enrolled
    with pytest.raises(ApiError, match="another key"):
        await Home(tmp_path / "other").enroll(client, TOKEN, "agent", None)


async def test_the_folder_and_the_key_are_for_the_agent_alone(
    ims: AgentProtocolServer, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    await Home(tmp_path / "home").enroll(ImsClient(ims.url, None, http), TOKEN, "agent", None)
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    for name in ("agent.key", "identity.json"):
        assert (tmp_path / "home" / name).stat().st_mode & 0o777 == 0o600
    assert not ims.sent("PRIVATE KEY")


async def test_a_folder_has_one_agent_at_a_time(tmp_path: Path) -> None:
    with Home(tmp_path).occupied(), pytest.raises(HomeInUseError), Home(tmp_path).occupied():
        pass
    with Home(tmp_path).occupied():
        pass


async def test_a_damaged_identity_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(IdentityError, match="enrol the agent anew"):
        Home(tmp_path).identity()


def test_a_folder_of_somebody_else_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To enrol anew, as for a damaged one, would be bad advice."""

    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", closed)
    with pytest.raises(IdentityError, match=r"identity\.json can't be read: Permission denied. Run this as the agent's user"):
        Home(tmp_path, make=False).identity()


def test_a_folder_that_can_not_be_written_can_not_be_occupied(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(IdentityError, match="can't be used: Not a directory"), Home(tmp_path / "home", make=False).occupied():
        pass
