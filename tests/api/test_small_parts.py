"""Ids, retries, the vault and the doorbell, each alone."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from api.contract.base import Failure
from api.db.doorbell import Doorbell
from api.db.ids import IdMaker
from api.installs.vault import Vault
from api.jobs.retry import MAX_ATTEMPTS, delay

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PASSING, LASTING = (Failure(code="x", message="x", retryable=retryable) for retryable in (True, False))


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = IdMaker()
    made = [ids.new("app", NOW + timedelta(milliseconds=number // 50)) for number in range(500)]
    assert made == sorted(made)
    assert len(set(made)) == 500
    assert all(len(one) == len("app_") + 26 and one.startswith("app_") for one in made)


def test_ids_go_on_growing_when_the_clock_jumps_back() -> None:
    ids = IdMaker()
    assert ids.new("a", NOW) < ids.new("a", NOW - timedelta(hours=1)) < ids.new("a", NOW)


@pytest.mark.parametrize(
    ("kind", "attempt", "failure", "seconds"),
    [
        ("build", 1, PASSING, 2),
        ("sync", 2, PASSING, 4),
        ("plan", 3, PASSING, 8),
        ("plan_destroy", 3, PASSING, 8),
        ("build", MAX_ATTEMPTS, PASSING, None),
        ("build", 1, LASTING, None),
        ("apply", 1, PASSING, None),
        ("destroy", 1, PASSING, None),
    ],
)
def test_a_failed_attempt_is_worth_another_one(kind, attempt: int, failure: Failure, seconds: int | None) -> None:
    assert delay(kind, attempt, failure) == (None if seconds is None else timedelta(seconds=seconds))


def test_the_vault_gives_back_what_was_put_in() -> None:
    vault = Vault(b"k" * 32)
    values = {"password": "hush", "list": [1, None, "ü"]}
    sealed = vault.seal(values, owner="ins_1")
    assert b"hush" not in sealed
    assert vault.open_sealed(sealed, owner="ins_1") == values
    assert vault.seal(values, owner="ins_1") != sealed


def test_sealed_values_open_only_for_their_owner_with_the_key_and_unchanged() -> None:
    sealed = Vault(b"k" * 32).seal({"a": 1}, owner="ins_1")
    for vault, content, owner in [
        (Vault(b"k" * 32), sealed, "ins_2"),
        (Vault(b"x" * 32), sealed, "ins_1"),
        (Vault(b"k" * 32), sealed[:-1] + bytes([sealed[-1] ^ 1]), "ins_1"),
    ]:
        with pytest.raises(InvalidTag):
            vault.open_sealed(content, owner=owner)


def test_fingerprints_tell_equal_from_different_and_need_the_key() -> None:
    vault = Vault(b"k" * 32)
    assert vault.fingerprint({"a": 1, "b": 2}) == vault.fingerprint({"b": 2, "a": 1})
    assert vault.fingerprint("hush") != vault.fingerprint("Hush")
    assert vault.fingerprint("hush") != Vault(b"x" * 32).fingerprint("hush")


def test_the_vaults_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    sealed = Vault.open(path).seal({"a": 1}, owner="x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert Vault.open(path).open_sealed(sealed, owner="x") == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.key"]


def test_half_a_key_is_refused_and_one_that_was_being_written_is_not_one(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    path.with_suffix(".new").write_bytes(b"half")
    Vault.open(path)
    path.write_bytes(b"half")
    with pytest.raises(ValueError, match="32 bytes"):
        Vault.open(path)


@pytest.mark.anyio
async def test_a_ring_between_reading_and_waiting_is_not_missed() -> None:
    bell = Doorbell()
    with bell.listen("a", "b") as listener:
        bell.ring(["b"])
        assert await listener.wait(1)
        bell.ring(["c"])
        assert not await listener.wait(0.001)
        assert not await listener.wait(0)


@pytest.mark.anyio
async def test_a_closed_doorbell_keeps_nobody_waiting() -> None:
    bell = Doorbell()
    with bell.listen("a") as listener:
        waiting = asyncio.create_task(listener.wait(60))
        await asyncio.sleep(0)
        bell.close()
        assert not await asyncio.wait_for(waiting, 1)
        assert not await listener.wait(60)
    with bell.listen("b") as late:
        assert not await late.wait(60)
