"""Rotation of the data key and of the key outside the database; and an IMS from before there were data keys."""

import asyncio
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from ims_driver import Ims, running_ims
from shop import NETWORK, Shop, module
from sqlalchemy import text

from api.app import create_app
from api.contract.secrets import Rotation
from api.secrets import keyring, offline, rotation
from api.secrets.vault import data_key_of
from api.settings import Settings, UnusableDataError

pytestmark = pytest.mark.anyio


def quiet(_: Rotation) -> None:
    """Nobody watches."""


def sealed_values(ims: Ims) -> list[tuple[str, str, bytes]]:
    """Every sealed value: the table, the row's id, the bytes."""
    found = []
    with ims.database() as connection:
        for table, column in [("install", "sealed_inputs"), ("deploy", "sealed_inputs"), ("secret", "sealed")]:
            found += [(table, *row) for row in connection.execute(text(f"SELECT id, {column} FROM {table} ORDER BY id"))]
    return found


async def with_values(ims: Ims, shop: Shop) -> dict[str, Any]:
    """An install with a deploy behind it, and a secret; gives the fingerprints."""
    await shop.install("acme", sensitive_inputs={"password": "canary-one"})
    await shop.deploy("acme")
    secret = await ims.ok("POST", "/v1/secrets", {"name": "license", "value": "canary-two"})
    install = await ims.ok("GET", "/v1/installs/acme")
    return {"install": install["sensitive_fingerprints"], "secret": secret["fingerprint"]}


async def fingerprints(ims: Ims) -> dict[str, Any]:
    install, secret = await ims.ok("GET", "/v1/installs/acme"), await ims.ok("GET", "/v1/secrets/license")
    return {"install": install["sensitive_fingerprints"], "secret": secret["fingerprint"]}


async def password_of(ims: Ims, shop: Shop) -> Any:
    """What the install's agent is given by a new deploy."""
    await shop.begin("acme", await changed_release(ims, shop))
    agent = shop.agents["acme"]
    lease = await agent.lease()
    while lease and lease["payload"]["kind"] != "plan":
        await agent.succeed(lease, {"kind": "sync", "copied_bytes": 1, "skipped_bytes": 0})
        lease = await agent.lease()
    assert lease
    return lease["payload"]["sensitive_inputs"]["password"]


async def changed_release(ims: Ims, shop: Shop) -> Any:
    await shop.change("network", module(NETWORK, digest="other"))
    return await shop.new_release()


async def test_a_rotation_seals_every_value_anew_and_leaves_fingerprints_alone(ims: Ims, shop: Shop) -> None:
    marks = await with_values(ims, shop)
    before = sealed_values(ims)
    begun = await ims.ok("POST", "/v1/secrets/rotation")
    assert (begun["done"], begun["values_done"], begun["values"]) == (False, 0, 3)
    done = await ims.ok("POST", "/v1/secrets/rotation/steps")
    assert (done["done"], done["values_done"]) == (True, 3)
    assert await ims.ok("GET", "/v1/secrets/rotation") == done
    after = sealed_values(ims)
    assert {data_key_of(sealed) for *_, sealed in after} == {done["data_key"]}
    assert not {sealed for *_, sealed in before} & {sealed for *_, sealed in after}
    assert await fingerprints(ims) == marks
    assert await password_of(ims, shop) == "canary-one"
    assert [event["after"] for event in await ims.events("secrets.rotated")] == [{"values": 3}]


async def test_a_rotation_that_was_stopped_goes_on_where_it_was_also_after_a_restart(
    tmp_path: Path, database_url: str | None
) -> None:
    data = tmp_path / "ims"
    async with running_ims(data, database_url=database_url) as ims:
        await with_values(ims, await Shop.open(ims))
        begun = await ims.ok("POST", "/v1/secrets/rotation")
        step = await ims.state.db.write("system", rotation.step, ims.state.vault, batch=2)
        assert (step.done, step.values_done) == (False, 2)
        assert len({data_key_of(sealed) for *_, sealed in sealed_values(ims)}) == 2
        token = ims.token
    async with running_ims(data, token=token, database_url=database_url) as ims:
        assert (await ims.ok("POST", "/v1/secrets/rotation"))["data_key"] == begun["data_key"]
        assert (await ims.ok("POST", "/v1/secrets/rotation/steps"))["values_done"] == 3
        assert {data_key_of(sealed) for *_, sealed in sealed_values(ims)} == {begun["data_key"]}


async def test_a_data_key_that_is_not_committed_seals_nothing(ims: Ims, shop: Shop) -> None:
    await with_values(ims, shop)
    vault, current = ims.state.vault, ims.state.vault.current
    rehearsed = await ims.state.db.rehearse("system", lambda tx: rotate_in(tx, ims))
    assert (rehearsed.done, vault.current) == (False, current)
    assert (await ims.ok("GET", "/v1/secrets/rotation"))["data_key"] == current


def rotate_in(tx: Any, ims: Ims) -> Rotation:
    rotation.begin(tx, keyring.fresh_key(ims.state.keys, tx.now))
    return rotation.step(tx, ims.state.vault)


async def test_a_new_key_file_wraps_the_same_data_keys_and_the_old_one_no_longer_opens_them(
    tmp_path: Path, database_url: str | None
) -> None:
    data, new = tmp_path / "ims", tmp_path / "new.key"
    async with running_ims(data, database_url=database_url) as ims:
        marks = await with_values(ims, await Shop.open(ims))
        token = ims.token
    before = sealed_values(ims)
    assert await offline.rewrap(ims.state.settings, f"file:{new}") == 2
    assert sealed_values(ims) == before
    assert new.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UnusableDataError, match="start with the key that they were last wrapped with"):
        create_app(ims.state.settings)
    (data / "secrets.key").write_bytes(new.read_bytes())
    async with running_ims(data, token=token, database_url=database_url) as ims:
        assert await fingerprints(ims) == marks
        assert (await ims.events("secrets.rewrapped"))[0]["after"]["keys"] == 2
        assert await ims.chain_is_whole()


async def test_rotation_works_offline_too(tmp_path: Path, database_url: str | None) -> None:
    data = tmp_path / "ims"
    async with running_ims(data, database_url=database_url) as ims:
        await with_values(ims, await Shop.open(ims))
    done = await offline.rotate(ims.state.settings, quiet)
    assert {data_key_of(sealed) for *_, sealed in sealed_values(ims)} == {done.data_key}
    with pytest.raises(UnusableDataError, match="has no database"):
        await offline.rotate(Settings(tmp_path, ""), quiet)


def as_of_the_first_version(ims: Ims) -> bytes:
    """Make the data what the first version left: sealed with the key file directly, and no table of keys."""
    key = (ims.data / "secrets.key").read_bytes()
    opened = {(table, row): ims.state.vault.open_sealed(sealed, owner=row) for table, row, sealed in sealed_values(ims)}
    with ims.database() as connection:
        for (table, row), values in opened.items():
            nonce = b"n" * 12
            old = nonce + AESGCM(key).encrypt(nonce, json.dumps(values).encode(), row.encode())
            connection.execute(text(f"UPDATE {table} SET sealed_inputs = :old WHERE id = :row"), {"old": old, "row": row})
        connection.execute(text("DELETE FROM data_key"))
    return key


async def test_values_of_the_first_version_open_and_rotate_and_its_fingerprints_stay(
    tmp_path: Path, database_url: str | None
) -> None:
    data = tmp_path / "ims"
    async with running_ims(data, database_url=database_url) as ims:
        shop = await Shop.open(ims)
        await shop.install("acme", sensitive_inputs={"password": "canary-one"})
        token = ims.token
    key = await asyncio.to_thread(as_of_the_first_version, ims)
    mac_key = hashlib.sha256(b"exclave fingerprint\n" + key).digest()
    async with running_ims(data, token=token, database_url=database_url) as ims:
        assert ims.state.vault.fingerprint("x") == hmac.new(mac_key, b'"x"', hashlib.sha256).hexdigest()[:32]
        ((table, row, sealed),) = sealed_values(ims)
        assert (table, data_key_of(sealed)) == ("install", None)
        assert ims.state.vault.open_sealed(sealed, owner=row) == {"password": "canary-one"}
        await ims.ok("POST", "/v1/secrets/rotation")
        done = await ims.ok("POST", "/v1/secrets/rotation/steps")
        assert done["done"]
        assert {data_key_of(one) for *_, one in sealed_values(ims)} == {done["data_key"]}
    async with running_ims(data, token=token, database_url=database_url) as ims:
        assert ims.state.vault.fingerprint("x") == hmac.new(mac_key, b'"x"', hashlib.sha256).hexdigest()[:32]
        with ims.database() as connection:
            assert connection.scalar(text("SELECT count(*) FROM data_key WHERE kind = 'old'")) == 0


async def test_a_database_with_another_key_is_refused_before_anything_is_served(
    tmp_path: Path, database_url: str | None
) -> None:
    data = tmp_path / "ims"
    async with running_ims(data, database_url=database_url) as ims:
        pass
    (data / "secrets.key").write_bytes(b"x" * 32)
    with pytest.raises(UnusableDataError, match="restore it from a backup"):
        create_app(ims.state.settings)
