from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from api.installs.vault import Vault


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
